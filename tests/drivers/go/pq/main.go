// lib/pq: database/sql for the queries, and a Listener that connects again when it has lost its connection.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"net"
	"time"

	"github.com/lib/pq"

	. "twistnotify/drivers/steps"
)

const (
	environment = "sslmode=disable"
	retry       = 10 * time.Millisecond
)

// program has a pool, a connection of it, and a Listener.
type program struct {
	pool     *sql.DB
	mine     *sql.Conn
	listener *pq.Listener
	events   chan pq.ListenerEventType
	dialer   dialer
}

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
		}
	})
}

func (p *program) connect(ctx context.Context) {
	p.pool = Must(sql.Open("postgres", environment))
	p.mine = Must(p.pool.Conn(ctx))
	Same(fetch[int](ctx, p.mine, "SELECT 1"), 1)
}

func (p *program) listen(context.Context) {
	p.events = make(chan pq.ListenerEventType, 8)
	callback := func(event pq.ListenerEventType, _ error) { p.events <- event }
	p.listener = pq.NewDialListener(&p.dialer, environment, retry, retry, callback)
	Check(p.listener.Listen(Name))
	Same(<-p.events, pq.ListenerEventConnected)
}

func (p *program) receive(ctx context.Context) {
	execute(ctx, p.mine, Notify("hello"))
	p.hears("hello")
}

func (p *program) ownPid(context.Context) { panic(Absent("the Listener sends no NOTIFY")) }

func (p *program) transaction(ctx context.Context) {
	execute(ctx, p.mine, CreateTable)
	for number, end := range []func(*sql.Tx) error{(*sql.Tx).Rollback, (*sql.Tx).Commit} {
		tx := Must(p.mine.BeginTx(ctx, nil))
		Must(tx.ExecContext(ctx, Insert(number)))
		Must(tx.ExecContext(ctx, Notify([]string{"rolled back", "committed"}[number])))
		Check(end(tx))
	}
	p.hears("committed")
	Same(fetch[int](ctx, p.mine, Rows), 1)
	execute(ctx, p.mine, DropTable)
}

func (p *program) errors(ctx context.Context) {
	p.fails(ctx, SyntaxError, "42601")
	tx := Must(p.mine.BeginTx(ctx, nil))
	_, err := tx.ExecContext(ctx, DivisionByZero)
	Same(Fails[*pq.Error](err).Code, "22012")
	_, err = tx.ExecContext(ctx, "SELECT 1")
	Same(Fails[*pq.Error](err).Code, "25P02")
	Check(tx.Rollback())
	Same(fetch[int](ctx, p.mine, "SELECT 2"), 2)
}

func (p *program) prepared(ctx context.Context) {
	statement := Must(p.mine.PrepareContext(ctx, "SELECT $1::int + 1"))
	defer statement.Close()
	for number := range Times {
		var sum int
		Check(statement.QueryRowContext(ctx, number).Scan(&sum))
		Same(sum, number+1)
	}
	Same(fetch[bool](ctx, p.mine, Named), true)
}

// cancel costs the connection: the driver does not use it again, so that the pool has to give another one.
func (p *program) cancel(ctx context.Context) {
	sleeping, wake := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() {
		defer wake()
		_, err := p.pool.ExecContext(ctx, UntilSleeping)
		watched <- err
	}()
	p.fails(sleeping, Sleep, "57014")
	Check(<-watched)
	p.mine.Close()
	p.mine = Must(p.pool.Conn(ctx))
	Same(fetch[int](ctx, p.mine, "SELECT 3"), 3)
}

func (p *program) large(ctx context.Context) {
	rows := Must(p.mine.QueryContext(ctx, LargeRows))
	defer rows.Close()
	count, word := 0, ""
	for rows.Next() {
		Check(rows.Scan(&count, &word))
	}
	Check(rows.Err())
	Same(count, LargeCount)
	Same(word, "row 100000")
	Same(len(fetch[string](ctx, p.mine, LargeValue)), LargeSize)
}

// copy copies in; the driver has no COPY TO.
func (p *program) copy(ctx context.Context) {
	tx := Must(p.mine.BeginTx(ctx, nil))
	defer tx.Rollback()
	Must(tx.ExecContext(ctx, CopyTable))
	statement := Must(tx.PrepareContext(ctx, CopyIn))
	for number := range CopyCount {
		Must(statement.ExecContext(ctx, number, "word"))
	}
	Check(statement.Close())
	var count int
	Check(tx.QueryRowContext(ctx, "SELECT count(*) FROM copied").Scan(&count))
	Same(count, CopyCount)
}

func (p *program) reconnect(ctx context.Context) {
	Same(fetch[bool](ctx, p.mine, Terminate(p.dialer.pid())), true)
	Same(<-p.events, pq.ListenerEventDisconnected)
	Same(<-p.events, pq.ListenerEventReconnected)
	Same(<-p.listener.Notify, nil)
	p.receive(ctx)
}

func (p *program) hears(payload string) { Same((<-p.listener.Notify).Extra, payload) }

func (p *program) fails(ctx context.Context, query string, code pq.ErrorCode) {
	_, err := p.mine.ExecContext(ctx, query)
	Same(Fails[*pq.Error](err).Code, code)
}

func execute(ctx context.Context, connection *sql.Conn, query string) {
	Must(connection.ExecContext(ctx, query))
}

func fetch[T any](ctx context.Context, connection *sql.Conn, query string) (value T) {
	Check(connection.QueryRowContext(ctx, query).Scan(&value))
	return value
}

// dialer reads along until the server has named the PID of the connection, which the Listener keeps to itself.
type dialer struct {
	net.Conn
	read []byte
}

func (d *dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialTimeout(network, address, 0)
}

func (d *dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	connection, err := net.DialTimeout(network, address, timeout)
	d.Conn, d.read = connection, nil
	return d, err
}

func (d *dialer) Read(into []byte) (int, error) {
	count, err := d.Conn.Read(into)
	d.read = append(d.read, into[:count]...)
	return count, err
}

func (d *dialer) pid() uint32 {
	key := []byte("K\x00\x00\x00\x0c")
	return binary.BigEndian.Uint32(d.read[bytes.Index(d.read, key)+len(key):])
}
