package androidx.test.runner.lifecycle;

/** Nothing asks it here. */
public interface ApplicationLifecycleMonitor {}
