/// What a cache has done so far: counts since start, and what it holds.
package struct ResultCacheStatistics: Sendable, Equatable {
    /// Answered, stale ones included.
    package var hits: UInt64 = 0
    /// Answered with what was too old, within the bound.
    package var staleHits: UInt64 = 0
    package var misses: UInt64 = 0
    /// Misses that found an answer that may not be shown; part of `misses`.
    package var unfit: [UInt64] = Array(repeating: 0, count: Unfitness.allCases.count)
    package var insertions: UInt64 = 0
    /// Entries that went, by cause.
    package var evictions: [UInt64] = Array(repeating: 0, count: Departure.allCases.count)
    /// Of entries that left the window: those that went on to the main queue.
    package var admissions: UInt64 = 0
    package var rejections: UInt64 = 0
    /// Answers that were not kept: too large, or not fit any more when they came.
    package var refusals: UInt64 = 0
    package var entryCount: Int = 0
    /// All that the cache takes: what is allocated for answers, records that were ever in use, tables.
    package var bytes: Int = 0
    /// Of `bytes`: what is in use by answers, their keys and their records.
    package var usedBytes: Int = 0

    /// Why an answer that is there may not be shown.
    package enum Unfitness: Int, Sendable, CaseIterable {
        case generation, expired, window, epoch, items
        /// It was copied, and copies were forgotten since.
        case copy
    }

    /// Why an entry went.
    package enum Departure: Int, Sendable, CaseIterable {
        /// Others needed the room.
        case room
        /// Its generation is gone.
        case generation
        /// It was too old, beyond the bound for stale answers.
        case expired
        /// Its user did something.
        case epoch
        /// It was a copy, and what it was copied from is gone.
        case copy
    }

    package func unfit(_ cause: Unfitness) -> UInt64 { unfit[cause.rawValue] }
    package func evicted(_ cause: Departure) -> UInt64 { evictions[cause.rawValue] }
}
