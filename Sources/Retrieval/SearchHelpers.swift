import NearestNeighbors

/// Threads that may help with a long scan while they have nothing else to do.
package protocol SearchHelpers: AnyObject {
    /// Scans that are expected to take less are not worth waking anybody.
    var nanosecondsMin: Double { get }

    /// Asks some that are idle; calls `makeInvitation` once, if there is one, and nobody where it gives nil.
    func ask(_ makeInvitation: () -> ScanInvitation?)
}

extension SearchHelpers {
    /// Asks for help with a search that has just begun, if it is one to share.
    func ask(toShare search: RunningSearch, of index: PlannedIndex) {
        ask { index.share(search, nanosecondsMin: nanosecondsMin) }
    }
}
