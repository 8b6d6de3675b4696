import Foundation
import LoadGenerator
import MartletClient
import Synchronization
import Vocabulary
import Wire

/// What users do on a node: batches of events from several connections, many in flight, some sent again under their IDs.
struct EventTraffic: Sendable {
    let ledger: EventLedger
    let users: UserSource
    let items: UserSource
    /// Users whose slates are asked for, so that what they click was shown to them.
    let watched: Range<Int>
    /// From an item's ID to its number.
    let itemNumbers: [String: Int]
    let clients: [MartletClient]

    /// Events of a call, at most.
    static let batchMax = 50

    /// One task's calls, one after the other, until `stop` is set.
    func send(_ client: MartletClient, seed: UInt64, until stop: StopSignal) async {
        var random = SeededGenerator(seed: seed)
        var own: [Int] = []
        while !stop.wasSet {
            var batch: [Int] = []
            if Int.random(in: 0..<8, using: &random) == 0 {
                batch = await clicks(client, &random)
            }
            let wanted = Int.random(in: 1...Self.batchMax, using: &random)
            while batch.count < wanted {
                if !own.isEmpty, Int.random(in: 0..<10, using: &random) == 0 {
                    // Again, whatever became of it: stored, refused or still on its way.
                    batch.append(own[Int.random(in: max(0, own.count - 200)..<own.count, using: &random)])
                    continue
                }
                let user = Int.random(in: 0..<users.count, using: &random)
                // Few items, so that users come back to theirs.
                let item = Int.random(in: 0..<min(items.count, 500), using: &random)
                let number = ledger.add(
                    user: user, item: item, type: UInt8(Int.random(in: 0..<EventLedger.types.count, using: &random)))
                own.append(number)
                batch.append(number)
            }
            if await record(batch, client) == nil, !stop.wasSet { try? await Task.sleep(for: .milliseconds(2)) }
        }
    }

    /// Clicks on some of the items that one of the watched users is shown.
    private func clicks(_ client: MartletClient, _ random: inout SeededGenerator) async -> [Int] {
        let user = Int.random(in: watched, using: &random)
        guard let slate = try? await client.recommend(user: users.name(user), k: 20) else { return [] }
        return slate.items.shuffled(using: &random).prefix(3).compactMap { id in
            itemNumbers[id].map { ledger.add(user: user, item: $0, type: 0) }
        }
    }

    /// Sends events and notes which of them the node has.
    ///
    /// - Returns: The answer; nil where there is none.
    @discardableResult
    func record(_ batch: [Int], _ client: MartletClient) async -> RecordEventsReply? {
        let events = batch.map { number in
            let entry = ledger[number]
            return UserEvent(
                user: users.name(Int(entry.user)), item: items.name(Int(entry.item)),
                type: EventLedger.types[Int(entry.type)], id: EventLedger.id(number))
        }
        guard let reply = try? await client.recordEvents(RecordEventsRequest(events: events)) else { return nil }
        let refused = Set(reply.faults.map(\.event))
        ledger.acknowledge(batch.indices.filter { !refused.contains($0) }.map { batch[$0] })
        return reply
    }

    /// Acknowledged items that a watched user is still shown.
    func shownAgain(_ client: MartletClient) async throws -> Int {
        var seen: [UInt32: Set<String>] = [:]
        for entry in ledger.all
        where watched.contains(Int(entry.user)) && entry.isAcknowledged && EventLedger.isSeen(entry.type) {
            seen[entry.user, default: []].insert(items.name(Int(entry.item)))
        }
        var shown = 0
        for (user, items) in seen {
            let slate = try await client.recommend(user: users.name(Int(user)), k: 20)
            shown += slate.items.count { items.contains($0) }
        }
        return shown
    }
}
