import Glibc
import LiveState

/// What does counting what happens to items cost: an event on its loop, a merge off it, memory, a look at an item?
///
/// Items are drawn with the popularity of rank r as 1 / (r + 10), or evenly; events are of the present second. Times are the
/// thread's processor time.
package struct ItemActivityBench {
    package struct Configuration: Sendable {
        package var items = 100_000
        package var scenarios = 10
        package var eventsPerMerge = 100_000
        package var merges = 30

        package init() {}
    }

    private let configuration: Configuration
    private var activity: ItemActivity
    private let delta: ItemActivityDelta
    private var random: UInt64 = 0x1234_5678
    private var now: UInt32 = 1_700_000_000

    /// - Throws: `LiveStateError`.
    package init(_ configuration: Configuration) throws {
        self.configuration = configuration
        var bounds = ItemActivityConfiguration()
        bounds.bytesMax = 1 << 40
        bounds.deltaCountMax = 1 << 24
        activity = try ItemActivity(bounds, scenarios: (0..<configuration.scenarios).map { "s\($0)" })
        delta = activity.makeDelta()
    }

    private mutating func next() -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var mixed = random
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    private struct Event {
        var kind: ItemEventKind
        var item: UInt32
        var scenario: Int
        var age: UInt32
    }

    private mutating func event(skewed: Bool) -> Event {
        let bits = next()
        let share = Double(bits >> 11) / Double(1 << 53)
        let items = Double(configuration.items)
        let rank = skewed ? 10 * pow((items + 10) / 10, share) - 10 : share * items
        let item = min(UInt32(configuration.items - 1), UInt32(max(0, rank)))
        return Event(
            kind: bits & 7 == 0 ? .success : .impression, item: item,
            scenario: Int(bits >> 3 & 0xFF) % (configuration.scenarios + 1),
            age: 0)
    }

    /// Runs everything and gives each figure to `body` as it is known.
    package mutating func run(_ body: (LiveStateBench.Figure) -> Void) {
        func figure(_ name: String, _ value: Double, _ unit: String) {
            body(LiveStateBench.Figure(name: name, value: value, unit: unit))
        }
        // Every item in every scenario, so that the table is as large as it gets.
        let fill = Self.milliseconds {
            for scenario in 0...configuration.scenarios {
                for item in 0..<UInt32(configuration.items) {
                    delta.count(.impression, item: item, scenario: scenario, seconds: now, now: now)
                }
            }
            activity.merge([delta], now: now)
            delta.clear()
        }
        let counts = activity.statistics
        figure("\(counts.items) items x \(configuration.scenarios + 1): counts kept", Double(counts.entries), "")
        figure("accounted", Double(counts.bytes) / Double(counts.entries), "bytes/count")
        figure("counting and merging all of them at once", fill, "ms")
        var view = activity.makeView(now: now, uptime: 0)
        for (name, skewed, late) in [
            ("popular items", true, UInt32(0)), ("items drawn evenly", false, 0),
            ("items drawn evenly, events an hour old", false, 3600),
        ] {
            var (count, merge, publish, changed) = ([Double](), [Double](), [Double](), [Double]())
            for _ in 0..<configuration.merges {
                now += 1
                let events = (0..<configuration.eventsPerMerge).map { _ in event(skewed: skewed) }
                count.append(
                    Self.milliseconds {
                        for event in events {
                            delta.count(
                                event.kind, item: event.item, scenario: event.scenario, seconds: now - late, now: now)
                        }
                    } * 1e6 / Double(events.count))
                changed.append(Double(delta.count))
                merge.append(Self.milliseconds { activity.mergeAndRank([delta], now: now) })
                publish.append(
                    Self.milliseconds {
                        view = activity.makeView(now: now, uptime: 0)
                        delta.clear()
                    })
            }
            figure("\(name): an event on the loop", Self.median(count), "ns/event")
            figure("\(name): pairs changed by \(configuration.eventsPerMerge) events", Self.median(changed), "")
            figure("\(name): a merge", Self.median(merge), "ms")
            figure("\(name): the longest merge", merge.max() ?? 0, "ms")
            figure("\(name): a view, the last one let go", Self.median(publish), "ms")
        }
        figure("what trends, of all items", Self.milliseconds { activity.rankAll(now: now) }, "ms")
        let asked = (0..<200_000).map { _ in event(skewed: false) }
        var sum = 0.0
        let look = Self.milliseconds {
            for event in asked { sum += view.values(of: event.item, scenario: event.scenario).clickRate }
        }
        figure("a look at an item", look * 1e6 / Double(asked.count), "ns")
        var parts: [[UInt8]] = []
        let write = Self.milliseconds { parts = activity.serialise(knowing: []) }
        figure("as bytes", Double(parts.reduce(0) { $0 + $1.count }) / Double(counts.entries), "bytes/count")
        figure("writing them", write, "ms")
        if var empty = try? ItemActivity(activity.configuration, scenarios: activity.scenarios.names) {
            let read = Self.milliseconds {
                var loader = ItemActivityLoader()
                for part in parts { try? loader.take(part[...], itemCount: configuration.items, into: &empty) }
            }
            figure("reading them", read, "ms")
        }
        if sum == -1 { figure("", 0, "") }
    }

    private static func milliseconds(_ body: () -> Void) -> Double {
        func now() -> Double {
            var time = timespec()
            clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
            return Double(time.tv_sec) * 1e3 + Double(time.tv_nsec) / 1e6
        }
        let began = now()
        body()
        return now() - began
    }

    private static func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }
}
