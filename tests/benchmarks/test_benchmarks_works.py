"""What a work comes to."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.works import FULL, QUICK, Work


@pytest.mark.parametrize("work", [*QUICK, Work("odd", listeners=12, channels=4, publishers=3, messages=7)])
def test_deliveries_are_as_many_as_counted_one_by_one(work: Work) -> None:
    sent = Counter(
        work.channel_of(publisher, message) for publisher in range(work.publishers) for message in range(work.messages)
    )
    listening = Counter(index % work.channels for index in range(work.listeners))
    assert work.deliveries == sum(sent[channel] * listening[channel] for channel in range(work.channels))
    assert all(work.messages_of(channel) == sent[channel] for channel in range(work.channels))


@pytest.mark.parametrize("work", [*QUICK, *FULL])
def test_every_work_is_bearable_for_postgres(work: Work) -> None:
    lighter = work.bearable(400, is_slow=True)
    assert 0 < lighter.listeners <= 400
    assert bool(lighter.deliveries) == bool(work.deliveries)


def test_uneven_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="do not spread"):
        Work("uneven", listeners=11, channels=10, publishers=1, messages=1)
