/// Bounds of the result caches of a node.
package struct ResultCacheConfiguration: Sendable, Equatable {
    /// Bytes for all shards together, index and bookkeeping included; 0 turns the cache off.
    package var bytesMax: Int
    /// How long an answer may be shown, at most.
    package var timeToLive: Duration
    /// Lives that are adapted to how often a user comes are no shorter.
    package var timeToLiveMin: Duration
    /// Visits of its user that an answer is to serve; 0: each is kept for as long as it may be.
    package var visits: Int
    /// For how long an answer that is too old may be shown while a new one is made; 0: not at all.
    package var staleFor: Duration
    /// For how long past its life an answer may be shown to a call that would get none in time; 0: not at all.
    package var staleIfLate: Duration = .seconds(600)
    /// Larger answers are not kept.
    package var answerBytesMax: Int
    /// Share of a loop's time that may go into answers that nobody waits for.
    package var backgroundShare: Double
    /// Requests of the most active users that are asked again after a swap or a restart, all shards together.
    package var warmKeysMax: Int

    package init(
        bytesMax: Int = 128 << 20, timeToLive: Duration = .seconds(60), timeToLiveMin: Duration = .seconds(10),
        visits: Int = 50, staleFor: Duration = .zero, answerBytesMax: Int = 64 << 10, backgroundShare: Double = 0.1,
        warmKeysMax: Int = 10_000
    ) {
        self.bytesMax = bytesMax
        self.timeToLive = timeToLive
        self.timeToLiveMin = timeToLiveMin
        self.visits = visits
        self.staleFor = staleFor
        self.answerBytesMax = answerBytesMax
        self.backgroundShare = backgroundShare
        self.warmKeysMax = warmKeysMax
    }
}
