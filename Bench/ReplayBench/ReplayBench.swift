import Charts
import Foundation
import MartletClient
import Training
import Vocabulary
import Wire

/// What live state is worth: later events are replayed in their order to two nodes with the same bundle. Before each, both are
/// asked for its user's slate; then it is recorded at both, as a taste at one, as merely seen at the other.
package struct ReplayConfiguration: Sendable {
    package var live: (host: String, port: Int)
    package var frozen: (host: String, port: Int)
    /// Interactions after those that the bundle was trained on, with times.
    package var input: String
    package var k = 20
    /// Types of the events at the two nodes.
    package var liveType = "click"
    package var frozenType = "mark"
    /// Users that are replayed at the same time; each user's events stay in their order.
    package var lanes = 32
    /// Stop after as many events; nil: all.
    package var limit: Int?

    package init(live: (host: String, port: Int), frozen: (host: String, port: Int), input: String) {
        self.live = live
        self.frozen = frozen
        self.input = input
    }
}

/// Hits of one node.
package struct ReplayScore: Sendable, Equatable, Encodable {
    package var events = 0
    package var hits = 0
    /// Sum over the hits of 1 / log2(place + 1).
    package var gain = 0.0

    package var hitRate: Double { events == 0 ? 0 : Double(hits) / Double(events) }
    package var ndcg: Double { events == 0 ? 0 : gain / Double(events) }

    mutating func add(_ item: String, in slate: [String]) {
        events += 1
        guard let place = slate.firstIndex(of: item) else { return }
        hits += 1
        gain += 1 / log2(Double(place) + 2)
    }

    mutating func add(_ other: ReplayScore) {
        events += other.events
        hits += other.hits
        gain += other.gain
    }
}

package struct ReplayReport: Sendable {
    /// By days since the first event.
    package var live: [Int: ReplayScore] = [:]
    package var frozen: [Int: ReplayScore] = [:]

    package var total: (live: ReplayScore, frozen: ReplayScore) {
        func sum(_ scores: [Int: ReplayScore]) -> ReplayScore {
            scores.values.reduce(into: ReplayScore()) { $0.add($1) }
        }
        return (sum(live), sum(frozen))
    }

    mutating func add(_ other: ReplayReport) {
        for (day, score) in other.live { live[day, default: ReplayScore()].add(score) }
        for (day, score) in other.frozen { frozen[day, default: ReplayScore()].add(score) }
    }

    /// Days put together, so that each has some hundred events.
    package func weeks() -> [(week: Int, live: ReplayScore, frozen: ReplayScore)] {
        Dictionary(grouping: live.keys, by: { $0 / 7 }).sorted { $0.key < $1.key }.map { week, days in
            var pair = (live: ReplayScore(), frozen: ReplayScore())
            for day in days {
                pair.live.add(live[day] ?? ReplayScore())
                pair.frozen.add(frozen[day] ?? ReplayScore())
            }
            return (week, pair.live, pair.frozen)
        }
    }

    package var svg: String {
        let weeks = weeks()
        let top = weeks.map { max($0.live.hitRate, $0.frozen.hitRate) }.max() ?? 1
        func line(_ name: String, _ colour: String, _ score: (Int) -> ReplayScore) -> SVGChart.Line {
            .init(
                name: name, colour: colour,
                points: weeks.indices.map { (Double(weeks[$0].week * 7), score($0).hitRate) }, hasDots: true)
        }
        let chart = SVGChart(
            title: "Share of next items that were on the slate",
            horizontal: .init(
                label: "days since training",
                ticks: SVGChart.linearTicks(upTo: Double((weeks.last?.week ?? 1) * 7)) { String(format: "%.0f", $0) }),
            vertical: .init(
                label: "hit rate", ticks: SVGChart.linearTicks(upTo: top) { String(format: "%.2f", $0) }),
            lines: [
                line("live", "#1b6ca8") { weeks[$0].live }, line("frozen", "#b0413e") { weeks[$0].frozen },
            ])
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="720" height="320" viewBox="0 0 720 320" \
            font-family="sans-serif" font-size="11" fill="#222222">
            <rect width="100%" height="100%" fill="#ffffff"/>
            \(chart.elements(x: 0, y: 0, width: 720, height: 320))
            </svg>

            """
    }
}

package struct ReplayBench {
    private struct Step: Sendable {
        var user: String
        var item: String
        /// Milliseconds since 1970.
        var time: Int64
    }

    private let configuration: ReplayConfiguration

    package init(_ configuration: ReplayConfiguration) { self.configuration = configuration }

    /// - Throws: `DatasetError` for a file without times or that cannot be read, `MartletClientError` when a node fails.
    package func run(progress: @escaping @Sendable (Int, Int) -> Void = { _, _ in }) async throws -> ReplayReport {
        let lanes = try steps()
        let count = lanes.reduce(0) { $0 + $1.count }
        let first = lanes.compactMap { $0.first?.time }.min() ?? 0
        let live = try client(configuration.live)
        let frozen = try client(configuration.frozen)
        do {
            let report = try await withThrowingTaskGroup(of: ReplayReport.self) { group in
                for lane in lanes where !lane.isEmpty {
                    group.addTask { try await replay(lane, since: first, live, frozen) }
                }
                var report = ReplayReport()
                for try await part in group {
                    report.add(part)
                    progress(report.total.live.events, count)
                }
                return report
            }
            await live.shutdown()
            await frozen.shutdown()
            return report
        } catch {
            await live.shutdown()
            await frozen.shutdown()
            throw error
        }
    }

    private func client(_ node: (host: String, port: Int)) throws -> MartletClient {
        var configuration = MartletClientConfiguration(host: node.host, port: node.port)
        configuration.clientName = "martlet-bench replay"
        configuration.timeout = .seconds(30)
        return try MartletClient(configuration)
    }

    private func steps() throws -> [[Step]] {
        let (interactions, _) = try InteractionImporter().read(configuration.input)
        guard let times = interactions.times else {
            throw DatasetError(.empty, "\(configuration.input): a replay needs the times of the interactions")
        }
        var steps: [Step] = []
        for user in 0..<interactions.userCount {
            for place in interactions.range(of: user) {
                steps.append(
                    Step(
                        user: interactions.users.string(UInt32(user)),
                        item: interactions.items.string(interactions.itemRows[place]), time: times[place]))
            }
        }
        steps.sort { ($0.time, $0.user, $0.item) < ($1.time, $1.user, $1.item) }
        var lanes = [[Step]](repeating: [], count: configuration.lanes)
        for step in steps.prefix(configuration.limit ?? .max) {
            lanes[Int(XXH64.hash(step.user) % UInt64(lanes.count))].append(step)
        }
        return lanes
    }

    private func replay(
        _ steps: [Step], since first: Int64, _ live: MartletClient, _ frozen: MartletClient
    ) async throws -> ReplayReport {
        var report = ReplayReport()
        for step in steps {
            let day = Int((step.time - first) / 86_400_000)
            async let own = live.recommend(user: step.user, k: configuration.k)
            async let other = frozen.recommend(user: step.user, k: configuration.k)
            report.live[day, default: ReplayScore()].add(step.item, in: try await own.items)
            report.frozen[day, default: ReplayScore()].add(step.item, in: try await other.items)
            func event(_ type: String) -> RecordEventsRequest {
                RecordEventsRequest(events: [
                    UserEvent(
                        user: step.user, item: step.item, type: type, timeMilliseconds: UInt64(clamping: step.time))
                ])
            }
            for (client, type) in [(live, configuration.liveType), (frozen, configuration.frozenType)] {
                let reply = try await client.recordEvents(event(type))
                if let fault = reply.faults.first { throw ReplayFault(message: fault.message) }
            }
        }
        return report
    }
}

/// An event that a node did not take.
package struct ReplayFault: Error, CustomStringConvertible {
    package let message: String
    package var description: String { "a node did not take an event: \(message)" }
}
