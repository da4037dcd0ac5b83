import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** The SQL of the steps, the same for every driver. */
final class Sql {
    /** Channel and table of this run. */
    static final String NAME = System.getenv("DRIVERS_NAME");

    static final String LISTEN = "LISTEN " + NAME;

    static final String CREATE_TABLE = "CREATE TABLE " + NAME + " (id int PRIMARY KEY)";
    static final String ROWS = "SELECT id FROM " + NAME;
    static final String DROP_TABLE = "DROP TABLE " + NAME;

    static final String SYNTAX_ERROR = "SELEC 1";
    static final String DIVISION_BY_ZERO = "SELECT 1/0";

    /** How often a statement is repeated, so that drivers make a named one of it, and whether they have. */
    static final int TIMES = 20;

    static final String NAMED = "SELECT count(*) > 0 FROM pg_prepared_statements";

    /** The second ends when the other connection's first one runs, so that a cancel does not come too early. */
    static final String SLEEP = "SELECT pg_sleep(30) AS " + NAME;

    static final String UNTIL_SLEEPING = """
            DO $$ BEGIN
                WHILE NOT EXISTS (
                    SELECT FROM pg_stat_activity WHERE starts_with(query, '%s') AND state = 'active'
                ) LOOP
                    PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
                END LOOP;
            END $$""".formatted(SLEEP);

    static final int LARGE_COUNT = 100_000;
    static final long LARGE_SUM = LARGE_COUNT * (LARGE_COUNT + 1L) / 2;
    static final String LARGE_ROWS = "SELECT n, 'row ' || n AS word FROM generate_series(1, " + LARGE_COUNT + ") AS n";
    static final int LARGE_SIZE = 20 * 1024 * 1024;
    static final String LARGE_VALUE = "SELECT repeat('x', " + LARGE_SIZE + ")";

    static final int COPY_COUNT = 1000;
    static final String COPY_TABLE = "CREATE TEMPORARY TABLE copied (id int, word text)";
    static final String COPY_LINES = IntStream.range(0, COPY_COUNT)
            .mapToObj(number -> number + "\tword " + number + "\n")
            .collect(Collectors.joining());
    static final String COPY_IN = "COPY copied FROM STDIN";
    static final String COPY_OUT = "COPY copied TO STDOUT";

    private Sql() {}

    static String notify(String payload) {
        return "NOTIFY " + NAME + ", '" + payload + "'";
    }

    static String insert(int number) {
        return "INSERT INTO " + NAME + " VALUES (" + number + ")";
    }

    static String terminate(int pid) {
        return "SELECT pg_terminate_backend(" + pid + ")";
    }
}
