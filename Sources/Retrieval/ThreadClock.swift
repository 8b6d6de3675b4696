#if canImport(Glibc)
    import Glibc
#else
    import Musl
#endif

/// Processor time of the calling thread: what work costs, whatever else the machine does.
///
/// Each look costs some hundred nanoseconds. Two looks compare only on the same thread, with no `await` between.
package enum ThreadClock {
    package static func nanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
