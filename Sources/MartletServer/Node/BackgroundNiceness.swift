import Glibc

/// How far threads that work beside requests stand back: a thread's nice value, 0 to 19.
///
/// On a machine without a free core such a thread gets next to nothing: at 10 about a tenth of what a loop gets, at 19 a
/// sixtieth. What someone waits for must not depend on it, unless requests are what it waits behind.
package struct BackgroundNiceness: Sendable {
    /// Loads of models while another serves: a person or a script waits for the answer, requests come first.
    package var loading: Int32 = 10
    /// Merges of what shards count of items: requests come first, and counts some seconds old are as good.
    package var merging: Int32 = 10
    /// Checks of samples of searches, which nobody waits for.
    package var checking: Int32 = 19

    package init() {}

    /// Nothing stands back.
    package static var none: BackgroundNiceness {
        var niceness = BackgroundNiceness()
        niceness.loading = 0
        niceness.merging = 0
        niceness.checking = 0
        return niceness
    }

    /// Sets that of the calling thread, which cannot go back to a lower one without a privilege.
    static func apply(_ niceness: Int32) {
        guard niceness > 0 else { return }
        setpriority(__priority_which_t(0), 0, niceness)
    }
}
