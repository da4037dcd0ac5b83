import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.postgresql.util.PSQLException;

/**
 * pgjdbc logs in, with every option that libpq has.
 *
 * <p>What comes in and goes out is described in ../python/attempts.py.
 */
final class LoggingIn {
    /** pgjdbc's names, in the order of the values; host, port and dbname become the URL. */
    private static final String[] FIELDS = {
        "host", "port", "user", "password", "dbname", "sslmode", "sslrootcert", "sslcert", "sslkey",
        "channelBinding", "requireAuth", "sslNegotiation",
    };

    /** Seconds that a connection may take. */
    private static final String LIMIT = "20";

    private LoggingIn() {}

    public static void main(String[] arguments) throws IOException {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            output.println(answer(given(line.split("\t", -1))));
        }
    }

    private static String answer(Properties given) {
        String before = "";
        String url = "jdbc:postgresql://%s:%s/%s";
        url = url.formatted(given.remove("host"), given.remove("port"), given.remove("dbname"));
        try (Connection connection = DriverManager.getConnection(url, given)) {
            before = "then ";
            try (Statement statement = connection.createStatement()) {
                statement.execute("LISTEN logging_in");
                ResultSet rows = statement.executeQuery("SELECT current_user");
                rows.next();
                return "ok " + rows.getString(1) + " ?";
            }
        } catch (SQLException error) {
            return before + reason(error);
        }
    }

    private static Properties given(String[] values) {
        Properties given = new Properties();
        given.setProperty("connectTimeout", LIMIT);
        given.setProperty("socketTimeout", LIMIT);
        given.setProperty("pemKeyAlgorithm", "EC");
        for (int number = 0; number < values.length; number++) {
            if (!values[number].isEmpty()) {
                given.setProperty(FIELDS[number], values[number]);
            }
        }
        return given;
    }

    /** Return the server's SQLSTATE, or the driver's words and what is behind them. */
    private static String reason(SQLException error) {
        if (error instanceof PSQLException said && said.getServerErrorMessage() != null) {
            return error.getSQLState();
        }
        StringBuilder reason = new StringBuilder("driver:");
        for (Throwable each = error; each != null; each = each.getCause()) {
            reason.append(' ').append(each.getMessage());
        }
        return reason.toString().replaceAll("\\s+", " ");
    }
}
