/// Decides what a node gives up as its memory nears a budget: caches first, then growth, then calls. A value with the clock
/// passed in.
///
/// ```
///  normal    -used >= shrink->    tight      caches get less, step by step, down to a floor
///  tight     -used >= full->      full       states of users do not grow, slates are not captured, no new connections
///  full      -used >= critical->  critical   calls for many users at once are answered RESOURCE_EXHAUSTED
///  critical, full  -below their mark less a margin, for as long as `calm`->  one level down
///  tight     -caches have what they may have, and used < shrink->  normal
/// ```
/// Levels rise at once and fall one at a time. What caches were given back is counted as used before it is, so that they do
/// not get more than there is.
package struct MemoryPressure: Sendable, Equatable {
    /// What is given up, in the order in which it is.
    package enum Level: Int, Sendable, CaseIterable, Comparable {
        case normal, tight, full, critical

        package static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }

        package var word: String {
            switch self {
            case .normal: "normal"
            case .tight: "tight"
            case .full: "full"
            case .critical: "critical"
            }
        }
    }

    /// Shares of the budget.
    package enum Marks {
        /// From here on caches shrink.
        package static let shrink = 0.90
        /// What they shrink to.
        package static let aim = 0.86
        /// Below, they grow again.
        package static let restore = 0.82
        package static let full = 0.95
        package static let critical = 0.98
        /// How far below its mark a level ends.
        package static let margin = 0.02
    }

    package struct Reading: Sendable, Equatable {
        /// Of the process, as measured.
        package var usedBytes: Int
        /// The same, or what will be used soon: caches make room for it before it comes.
        package var wantedBytes: Int
        /// Of caches, as accounted.
        package var cacheBytes: Int

        package init(usedBytes: Int, wantedBytes: Int? = nil, cacheBytes: Int) {
            self.usedBytes = usedBytes
            self.wantedBytes = max(usedBytes, wantedBytes ?? usedBytes)
            self.cacheBytes = cacheBytes
        }
    }

    package let budgetBytes: Int
    /// What caches have without a budget.
    package let cacheBytesMax: Int
    /// What is left to them in the end.
    package let cacheBytesMin: Int
    private let calmNanoseconds: UInt64

    package private(set) var level = Level.normal
    /// What caches may have now, `cacheBytesMin...cacheBytesMax`.
    package private(set) var cacheBytes: Int
    /// Since when the level could fall; nil: it could not at the last look.
    private var calmSince: UInt64?

    /// - Parameters:
    ///   - budgetBytes: At least 1.
    ///   - calmNanoseconds: How long memory must be lower before a level above `tight` ends.
    package init(
        budgetBytes: Int, cacheBytesMax: Int, cacheBytesMin: Int? = nil, calmNanoseconds: UInt64 = 3_000_000_000
    ) {
        precondition(budgetBytes > 0 && cacheBytesMax >= 0, "a budget of \(budgetBytes), caches of \(cacheBytesMax)")
        self.budgetBytes = budgetBytes
        self.cacheBytesMax = cacheBytesMax
        self.cacheBytesMin = min(cacheBytesMax, max(0, cacheBytesMin ?? cacheBytesMax / 16))
        self.calmNanoseconds = calmNanoseconds
        cacheBytes = cacheBytesMax
    }

    private func bytes(_ mark: Double) -> Int { Int(Double(budgetBytes) * mark) }

    /// Takes a reading in; about once a second.
    ///
    /// - Parameter now: Nanoseconds of a clock that does not go back.
    /// - Returns: Whether the level or what caches may have has changed.
    @discardableResult
    package mutating func look(_ reading: Reading, at now: UInt64) -> Bool {
        let before = (level, cacheBytes)
        adjustCaches(reading)
        let wanted = wantedLevel(reading)
        if wanted > level {
            level = wanted
            calmSince = nil
        } else if wanted < level {
            if level == .tight {
                level = .normal
            } else if let since = calmSince {
                if now >= since, now - since >= calmNanoseconds {
                    level = Level(rawValue: level.rawValue - 1) ?? .normal
                    calmSince = now
                }
            } else {
                calmSince = now
            }
        } else {
            calmSince = nil
        }
        return before != (level, cacheBytes)
    }

    private mutating func adjustCaches(_ reading: Reading) {
        let used = reading.wantedBytes
        if used >= bytes(Marks.shrink) {
            // What is being given back already is waited for.
            guard reading.cacheBytes <= cacheBytes + cacheBytesMax / 64 else { return }
            let held = min(cacheBytes, reading.cacheBytes)
            cacheBytes = max(cacheBytesMin, held - (used - bytes(Marks.aim)))
        } else if cacheBytes < cacheBytesMax {
            let promised = used + max(0, cacheBytes - reading.cacheBytes)
            guard promised < bytes(Marks.restore) else { return }
            let room = bytes(Marks.aim) - promised
            cacheBytes = min(cacheBytesMax, cacheBytes + max(1, room / 2))
        }
    }

    /// The level that a reading speaks for; the present one, while it is within its margin.
    private func wantedLevel(_ reading: Reading) -> Level {
        func reaches(_ mark: Double, _ level: Level) -> Bool {
            reading.usedBytes >= bytes(self.level >= level ? mark - Marks.margin : mark)
        }
        if reaches(Marks.critical, .critical) { return .critical }
        if reaches(Marks.full, .full) { return .full }
        if cacheBytes < cacheBytesMax || reading.usedBytes >= bytes(Marks.shrink) { return .tight }
        return .normal
    }
}
