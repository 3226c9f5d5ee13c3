package androidx.test.runner.intent;

/** Nothing asks it here. */
public interface IntentMonitor {}
