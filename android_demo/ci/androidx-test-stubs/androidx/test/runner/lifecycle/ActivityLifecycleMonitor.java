package androidx.test.runner.lifecycle;

import android.app.Activity;
import java.util.Collection;

/** Knows which activities are in which stage. */
public interface ActivityLifecycleMonitor {
    Collection<Activity> getActivitiesInStage(Stage stage);
}
