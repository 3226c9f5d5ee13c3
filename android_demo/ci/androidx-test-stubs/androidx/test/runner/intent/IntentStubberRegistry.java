package androidx.test.runner.intent;

/** Without a stubber, intents go where Robolectric records them. */
public final class IntentStubberRegistry {
    private IntentStubberRegistry() {}

    public static boolean isLoaded() {
        return false;
    }

    public static IntentStubber getInstance() {
        throw new IllegalStateException("there is no stubber");
    }
}
