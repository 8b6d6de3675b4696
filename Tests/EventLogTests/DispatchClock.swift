import Dispatch
import Glibc

/// Real time and real threads.
enum DispatchClock {
    @Sendable static func now() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

    static func rest(_ microseconds: UInt32) { usleep(microseconds) }

    static func concurrently(_ count: Int, _ body: @Sendable (Int) -> Void) {
        DispatchQueue.concurrentPerform(iterations: count, execute: body)
    }
}
