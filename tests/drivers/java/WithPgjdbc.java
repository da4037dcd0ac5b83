import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.Future;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;

/** pgjdbc: waits in getNotifications(); makes a named statement of the fifth use. */
final class WithPgjdbc {
    private Connection mine;
    private Connection other;
    private final Queue<PGNotification> heard = new ArrayDeque<>();

    public static void main(String[] arguments) {
        Steps.run(() -> new WithPgjdbc().steps());
    }

    /** Two connections; the first one listens. */
    private Map<String, Steps.Step> steps() {
        Map<String, Steps.Step> steps = new LinkedHashMap<>();
        steps.put("connect", this::connect);
        steps.put("listen", this::listen);
        steps.put("receive", this::receive);
        steps.put("own_pid", this::ownPid);
        steps.put("transaction", this::transaction);
        steps.put("errors", this::errors);
        steps.put("prepared", this::prepared);
        steps.put("cancel", this::cancel);
        steps.put("large", this::large);
        steps.put("copy", this::copy);
        steps.put("reconnect", this::reconnect);
        steps.put("cursor", this::cursor);
        steps.put("batch", this::batch);
        return steps;
    }

    private void connect() throws SQLException {
        mine = open();
        other = open();
        Steps.same(fetch(mine, "SELECT 1"), 1);
    }

    private void listen() throws SQLException {
        execute(mine, Sql.LISTEN);
    }

    private void receive() throws SQLException {
        execute(other, Sql.notify("hello"));
        hears(other, "hello");
    }

    private void ownPid() throws SQLException {
        execute(mine, Sql.notify("own"));
        hears(mine, "own");
    }

    private void transaction() throws SQLException {
        execute(other, Sql.CREATE_TABLE);
        mine.setAutoCommit(false);
        execute(mine, Sql.insert(1));
        execute(mine, Sql.notify("row 1"));
        mine.rollback();
        execute(mine, Sql.insert(2));
        execute(mine, Sql.notify("row 2"));
        mine.commit();
        mine.setAutoCommit(true);
        hears(mine, "row 2");
        Steps.same(fetch(other, Sql.ROWS), 2);
        execute(other, Sql.DROP_TABLE);
    }

    private void errors() throws Exception {
        fails("42601", Sql.SYNTAX_ERROR);
        mine.setAutoCommit(false);
        fails("22012", Sql.DIVISION_BY_ZERO);
        fails("25P02", "SELECT 1");
        mine.rollback();
        mine.setAutoCommit(true);
        Steps.same(fetch(mine, "SELECT 2"), 2);
    }

    private void prepared() throws SQLException {
        try (PreparedStatement statement = mine.prepareStatement("SELECT ?::int + 1")) {
            for (int number = 0; number < Sql.TIMES; number++) {
                statement.setInt(1, number);
                Steps.same(first(statement.executeQuery()), number + 1);
            }
            Steps.same(fetch(mine, Sql.NAMED), true);
        }
    }

    /** From another thread, and by a timeout. */
    private void cancel() throws Exception {
        try (Statement statement = mine.createStatement()) {
            Future<?> sleeping = Steps.inBackground(() -> {
                SQLException error = Steps.fails(SQLException.class, () -> statement.execute(Sql.SLEEP));
                Steps.same(error.getSQLState(), "57014");
            });
            execute(other, Sql.UNTIL_SLEEPING);
            statement.cancel();
            sleeping.get();
            Steps.same(fetch(mine, "SELECT 3"), 3);
            statement.setQueryTimeout(1);
            SQLException error = Steps.fails(SQLException.class, () -> statement.execute(Sql.SLEEP));
            Steps.same(error.getSQLState(), "57014");
        }
        Steps.same(fetch(mine, "SELECT 4"), 4);
    }

    private void large() throws SQLException {
        try (Statement statement = mine.createStatement();
                ResultSet rows = statement.executeQuery(Sql.LARGE_ROWS)) {
            String word = "";
            while (rows.next()) {
                word = rows.getString(2);
            }
            Steps.same(word, "row " + Sql.LARGE_COUNT);
        }
        Steps.same(((String) fetch(mine, Sql.LARGE_VALUE)).length(), Sql.LARGE_SIZE);
    }

    private void copy() throws Exception {
        execute(mine, Sql.COPY_TABLE);
        StringWriter out = new StringWriter();
        driver(mine).getCopyAPI().copyIn(Sql.COPY_IN, new StringReader(Sql.COPY_LINES));
        driver(mine).getCopyAPI().copyOut(Sql.COPY_OUT, out);
        Steps.same(out.toString().equals(Sql.COPY_LINES), true);
    }

    private void reconnect() throws Exception {
        Steps.same(fetch(other, Sql.terminate(driver(mine).getBackendPID())), true);
        Steps.fails(SQLException.class, () -> driver(mine).getNotifications(0));
        mine = open();
        listen();
        receive();
    }

    /** A result in pieces, from a portal that is executed again and again. */
    private void cursor() throws SQLException {
        mine.setAutoCommit(false);
        try (Statement statement = mine.createStatement()) {
            statement.setFetchSize(1000);
            long sum = 0;
            try (ResultSet rows = statement.executeQuery(Sql.LARGE_ROWS)) {
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
            }
            Steps.same(sum, Sql.LARGE_SUM);
        }
        mine.commit();
        mine.setAutoCommit(true);
    }

    /** Statements, and a NOTIFY among them, that are sent before the first answer is there. */
    private void batch() throws SQLException {
        try (Statement statement = mine.createStatement()) {
            statement.addBatch("CREATE TEMPORARY TABLE batch (id int)");
            statement.addBatch("INSERT INTO batch VALUES (1), (2)");
            statement.addBatch(Sql.notify("batch"));
            statement.addBatch("DELETE FROM batch");
            Steps.same(statement.executeBatch()[3], 2);
        }
        hears(mine, "batch");
    }

    private void hears(Connection sender, String payload) throws SQLException {
        while (heard.isEmpty()) {
            heard.addAll(Arrays.asList(driver(mine).getNotifications(0)));
        }
        PGNotification notification = heard.remove();
        Steps.same(notification.getPID(), driver(sender).getBackendPID());
        Steps.same(notification.getParameter(), payload);
    }

    private void fails(String state, String query) throws Exception {
        Steps.same(Steps.fails(SQLException.class, () -> execute(mine, query)).getSQLState(), state);
    }

    private static Connection open() throws SQLException {
        Map<String, String> place = System.getenv();
        String server = place.get("PGHOST") + ":" + place.get("PGPORT");
        String url = "jdbc:postgresql://" + server + "/" + place.get("PGDATABASE");
        return DriverManager.getConnection(url, place.get("PGUSER"), null);
    }

    private static PGConnection driver(Connection connection) throws SQLException {
        return connection.unwrap(PGConnection.class);
    }

    private static void execute(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(query);
        }
    }

    private static Object fetch(Connection connection, String query) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return first(statement.executeQuery(query));
        }
    }

    private static Object first(ResultSet rows) throws SQLException {
        try (rows) {
            rows.next();
            return rows.getObject(1);
        }
    }
}
