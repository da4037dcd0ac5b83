def test_a(server):
    c = server.connect()
    cur = c.cursor()
    cur.execute("LISTEN a")
    cur.execute("NOTIFY a, 'x'")
    assert [(n.pid == c.get_backend_pid(), n.channel, n.payload) for n in c.notifies] == [(True, "a", "x")]


def test_b(sharded_server, postgres):
    c = sharded_server.connect("app")
    cur = c.cursor()
    cur.execute("LISTEN a")
    cur.execute("NOTIFY a, 'x'")
    assert c.notifies
    assert postgres.listen_backends()[:3] == ["twistnotify/app0", "twistnotify/app1", "twistnotify/app2"]
