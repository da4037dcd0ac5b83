import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/** What the Java programs share: a deadline for each step, and a line for each. */
final class Steps {
    /** Seconds for a step. */
    private static final long DEADLINE = 60;

    /** What may throw. */
    interface Step {
        void run() throws Exception;
    }

    private Steps() {}

    /**
     * Do a program's steps in their order, the first of which are to connect and to listen.
     *
     * <p>After one that failed, the next begins with fresh connections. Exits with status 1 where one failed.
     */
    static void run(Supplier<Map<String, Step>> begin) {
        int failures = 0;
        boolean fresh = true;
        Map<String, Step> program = begin.get();
        for (String name : begin.get().keySet()) {
            try {
                if (!fresh) {
                    program = begin.get();
                    startUpTo(name, program);
                }
                inTime(program.get(name));
                fresh = true;
                System.out.println("ok " + name);
            } catch (Exception error) {
                System.out.println("FAILED " + name + ": " + error.toString().replaceAll("\\s+", " "));
                fresh = false;
                failures++;
            }
        }
        System.exit(Math.min(failures, 1));
    }

    /** Fail unless the two are equal. */
    static void same(Object actual, Object expected) {
        if (!Objects.equals(actual, expected)) {
            throw new IllegalStateException(actual + " instead of " + expected);
        }
    }

    /** Return the error that a call ends with. */
    static <E extends Exception> E fails(Class<E> type, Step step) throws Exception {
        try {
            step.run();
        } catch (Exception error) {
            if (type.isInstance(error)) {
                return type.cast(error);
            }
            throw error;
        }
        throw new IllegalStateException("there was no error");
    }

    /** Call in a thread that the end of the program does not wait for. */
    static Future<?> inBackground(Step step) {
        FutureTask<Void> task = new FutureTask<>(() -> {
            step.run();
            return null;
        });
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
        return task;
    }

    private static void startUpTo(String name, Map<String, Step> program) throws Exception {
        for (String earlier : new String[] {"connect", "listen"}) {
            if (earlier.equals(name)) {
                return;
            }
            inTime(program.get(earlier));
        }
    }

    private static void inTime(Step step) throws Exception {
        try {
            inBackground(step).get(DEADLINE, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        } catch (TimeoutException late) {
            throw new IllegalStateException("no end after " + DEADLINE + " s");
        }
    }
}
