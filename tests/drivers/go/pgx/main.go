// pgx v5: waits for a notification; prepares every query; its pool.
package main

import (
	"bytes"
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	. "twistnotify/drivers/steps"
)

// program has two connections; the first one listens.
type program struct{ mine, other *pgx.Conn }

func main() {
	Run(func() []Step {
		p := &program{}
		return []Step{
			Do("connect", p.connect),
			Do("listen", p.listen),
			Do("receive", p.receive),
			Do("own_pid", p.ownPid),
			Do("transaction", p.transaction),
			Do("errors", p.errors),
			Do("prepared", p.prepared),
			Do("cancel", p.cancel),
			Do("large", p.large),
			Do("copy", p.copy),
			Do("reconnect", p.reconnect),
			Do("pool", p.pool),
			Do("batch", p.batch),
		}
	})
}

func (p *program) connect(ctx context.Context) {
	p.mine, p.other = open(ctx), open(ctx)
	Same(fetch[int](ctx, p.mine, "SELECT 1"), 1)
}

func (p *program) listen(ctx context.Context) { execute(ctx, p.mine, Listen) }

func (p *program) receive(ctx context.Context) {
	execute(ctx, p.other, Notify("hello"))
	p.hears(ctx, p.other, "hello")
}

func (p *program) ownPid(ctx context.Context) {
	execute(ctx, p.mine, "SELECT pg_notify($1, $2)", Name, "own")
	p.hears(ctx, p.mine, "own")
}

func (p *program) transaction(ctx context.Context) {
	execute(ctx, p.other, CreateTable)
	for number, end := range []func(pgx.Tx) error{
		func(tx pgx.Tx) error { return tx.Rollback(ctx) },
		func(tx pgx.Tx) error { return tx.Commit(ctx) },
	} {
		tx := Must(p.mine.Begin(ctx))
		Must(tx.Exec(ctx, Insert(number)))
		Must(tx.Exec(ctx, Notify([]string{"rolled back", "committed"}[number])))
		Check(end(tx))
	}
	p.hears(ctx, p.mine, "committed")
	Same(fetch[int](ctx, p.other, Rows), 1)
	execute(ctx, p.other, DropTable)
}

func (p *program) errors(ctx context.Context) {
	p.fails(ctx, SyntaxError, "42601")
	tx := Must(p.mine.Begin(ctx))
	p.fails(ctx, DivisionByZero, "22012")
	p.fails(ctx, "SELECT 1", "25P02")
	Check(tx.Rollback(ctx))
	Same(fetch[int](ctx, p.mine, "SELECT 2"), 2)
}

func (p *program) prepared(ctx context.Context) {
	for number := range Times {
		Same(fetch[int](ctx, p.mine, "SELECT $1::int + 1", number), number+1)
	}
	Same(fetch[bool](ctx, p.mine, Named), true)
}

func (p *program) cancel(ctx context.Context) {
	sleeping, wake := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() {
		defer wake()
		_, err := p.other.Exec(ctx, UntilSleeping)
		watched <- err
	}()
	p.fails(sleeping, Sleep, "57014")
	Check(<-watched)
	Same(fetch[int](ctx, p.mine, "SELECT 3"), 3)
}

func (p *program) large(ctx context.Context) {
	rows := Must(p.mine.Query(ctx, LargeRows))
	words := Must(pgx.CollectRows(rows, func(row pgx.CollectableRow) (word string, err error) {
		return word, row.Scan(nil, &word)
	}))
	Same(len(words), LargeCount)
	Same(words[LargeCount-1], "row 100000")
	Same(len(fetch[string](ctx, p.mine, LargeValue)), LargeSize)
}

// copy copies as text, and in binary form.
func (p *program) copy(ctx context.Context) {
	execute(ctx, p.mine, CopyTable)
	Must(p.mine.PgConn().CopyFrom(ctx, strings.NewReader(CopyLines), CopyIn))
	var out bytes.Buffer
	Must(p.mine.PgConn().CopyTo(ctx, &out, CopyOut))
	Same(out.String() == CopyLines, true)
	words := pgx.CopyFromSlice(CopyCount, func(number int) ([]any, error) { return []any{number, "word"}, nil })
	Same(Must(p.mine.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"id", "word"}, words)), int64(CopyCount))
}

func (p *program) reconnect(ctx context.Context) {
	Same(fetch[bool](ctx, p.other, Terminate(p.mine.PgConn().PID())), true)
	_, err := p.mine.WaitForNotification(ctx)
	Same(Fails[*pgconn.PgError](err).Code, "57P01")
	p.mine = open(ctx)
	p.listen(ctx)
	p.receive(ctx)
}

// pool gives connections back, and has one that was lost replaced.
func (p *program) pool(ctx context.Context) {
	pool := Must(pgxpool.New(ctx, "pool_max_conns=1"))
	defer pool.Close()
	connection := Must(pool.Acquire(ctx))
	pid := connection.Conn().PgConn().PID()
	execute(ctx, connection.Conn(), Notify("pool"))
	p.hears(ctx, connection.Conn(), "pool")
	connection.Release()
	Same(fetch[bool](ctx, p.other, Terminate(pid)), true)
	for {
		var four int
		if err := pool.QueryRow(ctx, "SELECT 4").Scan(&four); err == nil {
			break
		}
		Check(ctx.Err())
	}
}

// batch sends statements, and a NOTIFY among them, before the first answer is there.
func (p *program) batch(ctx context.Context) {
	batch := &pgx.Batch{}
	for number := range Times {
		batch.Queue("SELECT $1::int + 2", number).QueryRow(func(row pgx.Row) error {
			var sum int
			Check(row.Scan(&sum))
			Same(sum, number+2)
			return nil
		})
	}
	batch.Queue(Notify("batch"))
	Check(p.mine.SendBatch(ctx, batch).Close())
	p.hears(ctx, p.mine, "batch")
}

func (p *program) hears(ctx context.Context, sender *pgx.Conn, payload string) {
	notification := Must(p.mine.WaitForNotification(ctx))
	Same(notification.PID, sender.PgConn().PID())
	Same(notification.Payload, payload)
}

func (p *program) fails(ctx context.Context, query string, code string) {
	_, err := p.mine.Exec(ctx, query)
	Same(Fails[*pgconn.PgError](err).Code, code)
}

// open connects with libpq's environment variables; a context that ends cancels the query, not the connection.
func open(ctx context.Context) *pgx.Conn {
	config := Must(pgx.ParseConfig(""))
	config.BuildContextWatcherHandler = func(connection *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: connection, DeadlineDelay: Deadline}
	}
	return Must(pgx.ConnectConfig(ctx, config))
}

func execute(ctx context.Context, connection *pgx.Conn, query string, arguments ...any) {
	Must(connection.Exec(ctx, query, arguments...))
}

func fetch[T any](ctx context.Context, connection *pgx.Conn, query string, arguments ...any) T {
	rows := Must(connection.Query(ctx, query, arguments...))
	return Must(pgx.CollectExactlyOneRow(rows, pgx.RowTo[T]))
}
