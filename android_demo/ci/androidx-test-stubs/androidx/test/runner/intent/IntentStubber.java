package androidx.test.runner.intent;

import android.app.Instrumentation;
import android.content.Intent;

/** Answers in the place of another app; no test has one. */
public interface IntentStubber {
    Instrumentation.ActivityResult getActivityResultForIntent(Intent intent);
}
