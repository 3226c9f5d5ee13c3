package org.edgevit.core

import java.nio.ByteBuffer
import java.security.MessageDigest

/** SHA-256 as 64 lower-case hex digits, the way bundles record files. */
object Hashing {
    fun sha256(bytes: ByteArray): String = sha256(ByteBuffer.wrap(bytes))

    /** Hashes a buffer from index 0 to its limit; its position stays. */
    fun sha256(buffer: ByteBuffer): String {
        val all = buffer.duplicate()
        all.position(0)
        val digest = MessageDigest.getInstance("SHA-256")
        digest.update(all)
        return digest.digest().joinToString("") { "%02x".format(it.toInt() and 0xff) }
    }
}
