import Catalog
import NearestNeighbors
import Synchronization

/// What has changed of the items since a model was made: those that are gone, those with other windows, those beside it.
/// Immutable; one for all shards, another one after each change.
package final class ItemOverlay: Sendable {
    /// When an item may be shown; `Int64.min` and `.max` are open ends.
    package struct Window: Sendable, Equatable {
        package var from = Int64.min
        package var until = Int64.max

        package init(from: Int64 = .min, until: Int64 = .max) {
            self.from = from
            self.until = until
        }

        /// No second at all.
        package static let never = Window(from: .min, until: .min)

        func contains(_ now: Int64) -> Bool { from <= now && now < until }
    }

    /// A change after which kept answers that show the item may be wrong.
    package struct Removal: Sendable {
        package let version: UInt64
        package let row: UInt32

        package init(version: UInt64, row: UInt32) {
            self.version = version
            self.row = row
        }
    }

    /// What a model's overlay is made of.
    package struct Content: Sendable {
        /// Rows of the model's items that are gone.
        package var deleted: Set<UInt32> = []
        /// By row, of the model's items and of added ones, in place of what the model says.
        package var windows: [UInt32: Window] = [:]
        /// Nil: none.
        package var added: AddedItems?
        /// Items of the model that were described anew; nil: none.
        package var restated: RestatedItems?
        /// Rows of the added items that are there.
        package var present: Set<UInt32> = []
        /// By an item's number the row of an added item.
        package var rowsByNumber: [UInt32: UInt32] = [:]
        /// Ascending by version.
        package var removals: [Removal] = []
        /// Of what changed in this version and before nothing is said in `removals`.
        package var removalsFloor: UInt64 = 0

        package init() {}
    }

    /// Grows with every change of any item; 0: nothing has changed.
    package let version: UInt64
    package let content: Content
    /// Of the model.
    package let itemCount: Int
    private let base: ItemAvailability?
    private let latest = Mutex<Moment?>(nil)

    /// The items that may be shown during some seconds.
    package struct Moment: Sendable {
        package let rows: AvailableRows
        package let seconds: ClosedRange<Int64>
    }

    package init(_ content: Content = Content(), version: UInt64 = 0, of model: RetrievalModel) {
        self.content = content
        self.version = version
        itemCount = model.items.count
        base = model.availability
    }

    package var added: AddedItems? { content.added }
    package var restated: RestatedItems? { content.restated }
    /// Whether items come and go with the time.
    package var isTimed: Bool { base != nil || !content.windows.isEmpty }

    package func isDeleted(_ row: UInt32) -> Bool {
        Int(row) < itemCount ? content.deleted.contains(row) : !content.present.contains(row)
    }

    /// Whether a change, not the model, keeps the item from being shown.
    package func isWithdrawn(_ row: UInt32, at now: Int64) -> Bool {
        isDeleted(row) || !(content.windows[row]?.contains(now) ?? true)
    }

    /// When an item is available, whether or not it is gone.
    package func window(of row: UInt32) -> Window {
        if let window = content.windows[row] { return window }
        guard let windows = base?.windows, Int(row) < itemCount else { return Window() }
        return Window(from: windows.from[Int(row)], until: windows.until[Int(row)])
    }

    // MARK: Moments

    /// The items that may be shown now.
    ///
    /// - Parameter now: Unix seconds; may go back.
    /// - Complexity: O(1) as long as no window opens or closes; else a copy of the bitmap and a look at all changes, by one
    ///   thread, while others that ask wait for it.
    package func moment(at now: Int64) -> Moment {
        latest.withLock { latest in
            if let latest, latest.seconds.contains(now) { return latest }
            let moment = make(now, base?.moment(at: now))
            latest = moment
            return moment
        }
    }

    /// The items that could be shown at another time, which nobody else will ask for; what is gone now is not among them.
    package func pastMoment(at then: Int64) -> Moment {
        let latest = latest.withLock { $0 }
        if let latest, latest.seconds.contains(then) { return latest }
        return make(then, base?.pastMoment(at: then))
    }

    private func make(_ now: Int64, _ base: ItemAvailability.Moment?) -> Moment {
        var (first, last) = (base?.seconds.lowerBound ?? .min, base?.seconds.upperBound ?? .max)
        var changed: [(row: UInt32, isShown: Bool)] = []
        for (row, window) in content.windows {
            for edge in [window.from, window.until] {
                if edge <= now { first = max(first, edge) } else if edge != .max { last = min(last, edge - 1) }
            }
            if Int(row) < itemCount { changed.append((row, window.contains(now))) }
        }
        var items = base?.rows
        if !changed.isEmpty || !content.deleted.isEmpty {
            items = RowBitmap(rowCount: itemCount) { words in
                if let base { _ = words.update(fromContentsOf: base.rows.words) } else { words.update(repeating: .max) }
                for (row, isShown) in changed {
                    if isShown {
                        words[Int(row >> 6)] |= 1 &<< UInt64(row & 63)
                    } else {
                        words[Int(row >> 6)] &= ~(1 &<< UInt64(row & 63))
                    }
                }
                for row in content.deleted { words[Int(row >> 6)] &= ~(1 &<< UInt64(row & 63)) }
            }
        }
        var added: RowBitmap?
        if let items = content.added {
            added = RowBitmap(rowCount: items.count) { words in
                for row in content.present where content.windows[row]?.contains(now) ?? true {
                    let index = row - items.firstRow
                    words[Int(index >> 6)] |= 1 &<< UInt64(index & 63)
                }
            }
        }
        return Moment(
            rows: AvailableRows(items: items, added: added, itemCount: itemCount), seconds: first...max(first, last))
    }
}

/// The items that may be shown at some moment, of a model and of those beside it.
package struct AvailableRows: Sendable {
    /// Nil: all.
    package var items: RowBitmap?
    /// By row less `itemCount`; nil: there are none.
    package var added: RowBitmap?
    package let itemCount: Int

    package init(items: RowBitmap? = nil, added: RowBitmap? = nil, itemCount: Int) {
        self.items = items
        self.added = added
        self.itemCount = itemCount
    }

    package func contains(_ row: UInt32) -> Bool {
        if Int(row) < itemCount { return items?.contains(row) ?? true }
        guard let added, Int(row) - itemCount < added.rowCount else { return false }
        return added.contains(row - UInt32(itemCount))
    }

    /// Whether both are the same bitmaps.
    package func isSame(as other: AvailableRows) -> Bool { items === other.items && added === other.added }
}
