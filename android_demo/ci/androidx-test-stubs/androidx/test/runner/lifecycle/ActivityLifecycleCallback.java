package androidx.test.runner.lifecycle;

import android.app.Activity;

/** Only FragmentController names it, which no test uses. */
public interface ActivityLifecycleCallback {
    void onActivityLifecycleChanged(Activity activity, Stage stage);
}
