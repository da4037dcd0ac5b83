package steps

import (
	"fmt"
	"os"
	"strings"
)

// Name is the channel and the table of this run.
var Name = os.Getenv("DRIVERS_NAME")

// The SQL of the steps, the same for every driver.
var (
	Listen = "LISTEN " + Name

	CreateTable = "CREATE TABLE " + Name + " (id int PRIMARY KEY)"
	Rows        = "SELECT id FROM " + Name
	DropTable   = "DROP TABLE " + Name

	SyntaxError    = "SELEC 1"
	DivisionByZero = "SELECT 1/0"

	// Named tells whether a statement that was repeated so many Times has become a named one.
	Times = 20
	Named = "SELECT count(*) > 0 FROM pg_prepared_statements"

	// UntilSleeping ends when the other connection's Sleep runs, so that a cancel does not come too early.
	Sleep         = "SELECT pg_sleep(30) AS " + Name
	UntilSleeping = `DO $$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE starts_with(query, '` + Sleep + `') AND state = 'active') LOOP
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$`

	LargeCount = 100_000
	LargeRows  = fmt.Sprintf("SELECT n, 'row ' || n AS word FROM generate_series(1, %d) AS n", LargeCount)
	LargeSize  = 20 * 1024 * 1024
	LargeValue = fmt.Sprintf("SELECT repeat('x', %d)", LargeSize)

	CopyCount = 1000
	CopyTable = "CREATE TEMPORARY TABLE copied (id int, word text)"
	CopyLines = copyLines()
	CopyIn    = "COPY copied FROM STDIN"
	CopyOut   = "COPY copied TO STDOUT"
)

// Notify returns the NOTIFY with a payload.
func Notify(payload string) string { return fmt.Sprintf("NOTIFY %s, '%s'", Name, payload) }

// Insert returns the INSERT of a row.
func Insert(number int) string { return fmt.Sprintf("INSERT INTO %s VALUES (%d)", Name, number) }

// Terminate returns what ends the connection that has a PID.
func Terminate(pid uint32) string { return fmt.Sprintf("SELECT pg_terminate_backend(%d)", pid) }

func copyLines() string {
	var lines strings.Builder
	for number := range CopyCount {
		fmt.Fprintf(&lines, "%d\tword %d\n", number, number)
	}
	return lines.String()
}
