import Resilience

/// A rate and a burst for each tenant.
///
/// At most `tenantsMax` tenants are told apart. When there are more, one whose bucket is full (it asked for nothing lately, and loses
/// nothing) makes room; where none is, newcomers share one bucket.
package struct TenantQuotas: Sendable {
    package let perSecond: UInt64
    package let burst: UInt64
    package let tenantsMax: Int
    private var buckets: [String: TokenBucket] = [:]
    private var shared: TokenBucket
    private var nextSweep: UInt64 = 0

    package init(perSecond: UInt64, burst: UInt64, tenantsMax: Int = 1024, at now: UInt64) {
        precondition(tenantsMax > 0, "\(tenantsMax) tenants")
        self.perSecond = perSecond
        self.burst = burst
        self.tenantsMax = tenantsMax
        shared = TokenBucket(perSecond: perSecond, burst: burst, at: now)
    }

    package var tenants: Int { buckets.count }

    /// - Returns: Nil: the call may go. Else nanoseconds after which to come again.
    package mutating func take(_ tenant: String, at now: UInt64) -> UInt64? {
        if buckets[tenant] == nil {
            if buckets.count >= tenantsMax { sweep(at: now) }
            guard buckets.count < tenantsMax else {
                return shared.take(at: now) ? nil : shared.wait(at: now) ?? .max
            }
            buckets[tenant] = TokenBucket(perSecond: perSecond, burst: burst, at: now)
        }
        if buckets[tenant]?.take(at: now) == true { return nil }
        return buckets[tenant]?.wait(at: now) ?? .max
    }

    /// Forgets tenants with full buckets, at most ten times a second.
    private mutating func sweep(at now: UInt64) {
        guard now >= nextSweep else { return }
        nextSweep = now &+ 100_000_000
        for name in Array(buckets.keys) where buckets[name]?.available(at: now) == burst { buckets[name] = nil }
    }
}
