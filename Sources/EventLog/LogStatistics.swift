/// Figures of a log since it was opened.
package struct LogStatistics: Sendable, Equatable {
    /// Records that were put in line.
    package var records: UInt64 = 0
    /// Bytes written, headers included.
    package var writtenBytes: UInt64 = 0
    package var syncs: UInt64 = 0
    /// Time spent in syncs.
    package var syncNanoseconds: UInt64 = 0
    package var longestSyncNanoseconds: UInt64 = 0
    /// Writes and syncs that failed.
    package var failures: UInt64 = 0
    package var segments = 0
    /// Of all segments in the folder.
    package var bytes = 0
    /// Records that are stored, as the policy says.
    package var storedThrough: UInt64 = 0
    /// Whether records are refused for the disk's sake.
    package var isRefusing = false
    /// Why, in words.
    package var refusal: String?
}
