// pgx v5 logs in, with every option that libpq has.
// What comes in and goes out is described in ../../python/attempts.py.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// limit is how long an attempt may take.
const limit = 20 * time.Second

var fields = []string{
	"host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey",
	"channel_binding", "require_auth", "sslnegotiation",
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(answer(conninfo(strings.Split(lines.Text(), "\t"))))
	}
}

func answer(conninfo string) string {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	connection, err := pgx.Connect(ctx, conninfo)
	if err != nil {
		return reason(err)
	}
	defer connection.Close(ctx)
	var user string
	_, err = connection.Exec(ctx, "LISTEN logging_in")
	if err == nil {
		err = connection.QueryRow(ctx, "SELECT current_user").Scan(&user)
	}
	if err != nil {
		return "then " + reason(err)
	}
	if _, encrypted := connection.PgConn().Conn().(*tls.Conn); encrypted {
		return "ok " + user + " yes"
	}
	return "ok " + user + " no"
}

// conninfo gives libpq's names to the values that are there.
func conninfo(values []string) string {
	var words []string
	for number, value := range values {
		if value != "" {
			words = append(words, fmt.Sprintf("%s='%s'", fields[number], value))
		}
	}
	return strings.Join(words, " ")
}

func reason(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return "driver: " + strings.Join(strings.Fields(err.Error()), " ")
}
