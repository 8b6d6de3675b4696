import Synchronization
import Vocabulary

/// Which events were sent, and which of them a node has said that it has. For all tasks that send.
package final class EventLedger: Sendable {
    /// An event, by its number.
    package struct Entry: Sendable {
        package var user: UInt32
        package var item: UInt32
        package var type: UInt8
        package var isAcknowledged = false
        /// Was found in the log more than once, and counted as that.
        package var isKnownDouble = false
    }

    /// Types that a node knows without configuration; all but the last make their item a seen one.
    package static let types = ["click", "view", "purchase", "impression"]
    package static func isSeen(_ type: UInt8) -> Bool { type < 3 }

    private let entries = Mutex<[Entry]>([])

    package init() {}

    package var count: Int { entries.withLock { $0.count } }
    package subscript(number: Int) -> Entry { entries.withLock { $0[number] } }
    package var all: [Entry] { entries.withLock { $0 } }
    package var acknowledged: Int { entries.withLock { $0.count { $0.isAcknowledged } } }

    /// - Returns: The new event's number, which makes its ID.
    package func add(user: Int, item: Int, type: UInt8) -> Int {
        entries.withLock { entries in
            entries.append(Entry(user: UInt32(user), item: UInt32(item), type: type))
            return entries.count - 1
        }
    }

    package func acknowledge(_ numbers: some Sequence<Int>) {
        entries.withLock { entries in for number in numbers { entries[number].isAcknowledged = true } }
    }

    package static func id(_ number: Int) -> String { "e\(number)" }
    package static func number(ofID id: String) -> Int? { id.hasPrefix("e") ? Int(id.dropFirst()) : nil }

    /// What a reading of the log says of the events.
    package struct Finding: Sendable, Equatable {
        package var lost = 0
        package var doubled = 0
        /// In the log although nobody was told so: that is fine.
        package var unacknowledged = 0
        /// Events in the log that nobody sent, or whose content is not what was sent.
        package var foreign = 0
    }

    /// Compares with what a log holds; what is lost counts as not acknowledged from here on, what is doubled as known.
    ///
    /// - Parameter counts: How often the log has each event, by its number.
    package func compare(counts: [UInt8], foreign: Int) -> Finding {
        var finding = Finding(foreign: foreign)
        entries.withLock { entries in
            for number in entries.indices {
                let found = number < counts.count ? counts[number] : 0
                if found == 0, entries[number].isAcknowledged {
                    finding.lost += 1
                    entries[number].isAcknowledged = false
                }
                if found > 0, !entries[number].isAcknowledged { finding.unacknowledged += 1 }
                if found > 1, !entries[number].isKnownDouble {
                    finding.doubled += 1
                    entries[number].isKnownDouble = true
                }
            }
        }
        return finding
    }
}
