import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.kotlin.jvm)
}

java {
    sourceCompatibility = JavaVersion.VERSION_1_8
    targetCompatibility = JavaVersion.VERSION_1_8
}

kotlin {
    compilerOptions {
        // Android's oldest phones have Java 8's classes: what came later does not compile.
        jvmTarget.set(JvmTarget.JVM_1_8)
        freeCompilerArgs.add("-Xjdk-release=8")
        allWarningsAsErrors.set(true)
    }
}

// What Python wrote and checks: tests/android/golden.py.
val golden = rootDir.resolve("../tests/golden")

tasks.test {
    systemProperty("edgevit.golden", golden.path)
    inputs.dir(golden)
}

dependencies {
    testImplementation(libs.junit)
}
