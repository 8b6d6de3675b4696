import Artifacts
import Catalog
import LiveState
import Retrieval
import Vocabulary

/// Makes the overlays of one generation from what is known of changed items. One thread.
///
/// An added item keeps its row for as long as the generation is held, whatever becomes of it: cursors and candidates name
/// rows.
package final class OverlayBuilder {
    package let generation: Generation
    private let numbers: ItemNumbers
    private var vectors: NewItemVectors
    private var content = ItemOverlay.Content()
    /// Of the added items, by index; of those that are gone what was said last.
    private var descriptions: [ItemDescription] = []
    private var places: [[Float]] = []
    private var indexes: [String: Int] = [:]
    private var isStale = false
    /// Items of the model that are described anew, by row.
    private var restated: [UInt32: ItemDescription] = [:]
    private var isRestatedStale = false

    /// Removals that kept answers are checked against; answers from before are not shown any more.
    private static let removalsMax = 4096
    /// Rows of items that are gone pile up to so many times those that may be there.
    private static let rowsPerItem = 2

    /// - Parameter numbers: The items' numbers; those of added items are added.
    package init(_ generation: Generation, book: ItemBook, numbers: ItemNumbers) {
        self.generation = generation
        self.numbers = numbers
        vectors = NewItemVectors(model: generation.model)
        for item in book.states.keys { take(item, book, version: 0) }
    }

    private var items: ItemCatalog { generation.model.items }

    /// What is wrong with the vector of a new item; nil: nothing.
    package func fault(ofVector vector: [Float]) -> String? {
        guard !vector.isEmpty, vectors.rank > 0, vector.count != vectors.rank else { return nil }
        return "vector has \(vector.count) numbers; the factors of \(generation.label) have \(vectors.rank)"
    }

    package func knows(_ item: String) -> Bool { items.row(of: item) != nil }

    /// The overlay after changes of some items.
    ///
    /// - Complexity: O(changed items) for deletions and windows; where descriptions changed, O(added items) and the search
    ///   for what the changed ones are like.
    package func overlay(after changed: Set<String>, _ book: ItemBook, version: UInt64) -> ItemOverlay {
        if indexes.count > Self.rowsPerItem * book.countMax { startAnew(book, version) }
        for item in changed { take(item, book, version: version) }
        if content.removals.count > Self.removalsMax {
            let dropped = content.removals.count - Self.removalsMax / 2
            let floor = content.removals[dropped - 1].version
            content.removalsFloor = floor
            content.removals.removeAll { $0.version <= floor }
        }
        makeColumns()
        return ItemOverlay(content, version: version, of: generation.model)
    }

    /// The overlay of what is known already.
    package func overlay(version: UInt64) -> ItemOverlay {
        makeColumns()
        return ItemOverlay(content, version: version, of: generation.model)
    }

    private func startAnew(_ book: ItemBook, _ version: UInt64) {
        content = ItemOverlay.Content()
        content.removalsFloor = version
        (descriptions, places, indexes, isStale) = ([], [], [:], true)
        (restated, isRestatedStale) = ([:], true)
        for item in book.states.keys { take(item, book, version: version) }
    }

    /// - Parameter version: 0: no answers were given before.
    private func take(_ item: String, _ book: ItemBook, version: UInt64) {
        let state = book.states[item]
        let row: UInt32
        // What was never there is in no answer.
        let isNew = items.row(of: item) == nil && indexes[item] == nil
        if let known = items.row(of: item) {
            row = known
            if state?.isDeleted ?? false { content.deleted.insert(row) } else { content.deleted.remove(row) }
            let said = state?.description.flatMap { $0.describes ? $0 : nil }
            if restated[row] != said {
                restated[row] = said
                isRestatedStale = true
            }
        } else {
            guard let added = add(item, state) else { return }
            row = added
        }
        content.windows[row] = Self.window(state)
        if version > 0, !isNew { content.removals.append(ItemOverlay.Removal(version: version, row: row)) }
    }

    /// The row of an item that the model does not know; nil where it never had one.
    private func add(_ item: String, _ state: ItemState?) -> UInt32? {
        let first = UInt32(items.count)
        guard let description = state?.description else {
            guard let index = indexes[item] else { return nil }
            content.present.remove(first + UInt32(index))
            return first + UInt32(index)
        }
        let index: Int
        if let known = indexes[item] {
            index = known
            if descriptions[index] != description {
                descriptions[index] = description
                places[index] = vectors.vector(of: description)
                isStale = true
            }
        } else {
            index = descriptions.count
            indexes[item] = index
            descriptions.append(description)
            places.append(vectors.vector(of: description))
            if let number = numbers.numberAdding(item) { content.rowsByNumber[number] = first + UInt32(index) }
            isStale = true
        }
        content.present.insert(first + UInt32(index))
        return first + UInt32(index)
    }

    private static func window(_ state: ItemState?) -> ItemOverlay.Window? {
        if let window = state?.window {
            return window.isHidden
                ? .never : ItemOverlay.Window(from: window.fromSeconds ?? .min, until: window.untilSeconds ?? .max)
        }
        guard let description = state?.description,
            description.fromSeconds != nil || description.untilSeconds != nil
        else { return nil }
        return ItemOverlay.Window(from: description.fromSeconds ?? .min, until: description.untilSeconds ?? .max)
    }

    // MARK: Columns

    /// Makes columns of descriptions that have changed.
    private func makeColumns() {
        // What cannot be put into columns is refused when it comes: this is for what a log holds.
        if isStale {
            content.added = descriptions.isEmpty ? nil : try? makeAdded()
            content.restated = content.restated.map {
                RestatedItems($0, added: content.added, of: generation.model)
            }
        }
        if isRestatedStale { content.restated = restated.isEmpty ? nil : try? makeRestated() }
        (isStale, isRestatedStale) = (false, false)
    }

    private func makeAdded() throws(ArtifactError) -> AddedItems {
        let columns = DescribedItems(descriptions.map { ($0, nil) }, beside: items)
        return AddedItems(catalog: try columns.catalog(), vectors: places, of: generation.model)
    }

    private func makeRestated() throws(ArtifactError) -> RestatedItems {
        let sorted = restated.sorted { $0.key < $1.key }
        let columns = DescribedItems(sorted.map { ($0.value, $0.key) }, beside: items)
        return RestatedItems(
            sorted.map(\.key), catalog: try columns.catalog(), added: content.added, of: generation.model)
    }
}
