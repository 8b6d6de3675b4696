extension Interactions {
    /// The same interactions without users and items that have none; the others keep their order.
    package func withoutEmptyRows() -> Interactions {
        let counts = itemCounts()
        let keptUsers = (0..<userCount).filter { !range(of: $0).isEmpty }
        let keptItems = (0..<itemCount).filter { counts[$0] > 0 }
        if keptUsers.count == userCount, keptItems.count == itemCount { return self }
        return renumbered(users: keptUsers.map(UInt32.init), items: keptItems.map(UInt32.init))
    }

    /// The interactions with other row numbers: new row `n` is old row `users[n]`, `items[n]`.
    ///
    /// - Precondition: Every user and item with an interaction is named, none twice.
    package func renumbered(users userOrder: [UInt32], items itemOrder: [UInt32]) -> Interactions {
        var newItem = [UInt32](repeating: .max, count: itemCount)
        for (new, old) in itemOrder.enumerated() { newItem[Int(old)] = UInt32(new) }
        var result = Interactions(
            users: users.reordered(userOrder), items: items.reordered(itemOrder), offsets: [0], itemRows: [],
            values: [],
            times: times == nil ? nil : [], repeats: repeats == nil ? nil : [])
        result.offsets.reserveCapacity(userOrder.count + 1)
        result.itemRows.reserveCapacity(count)
        result.values.reserveCapacity(count)
        result.times?.reserveCapacity(count)
        result.repeats?.reserveCapacity(count)
        for old in userOrder {
            let range = range(of: Int(old))
            for item in itemRows[range] { result.itemRows.append(newItem[Int(item)]) }
            result.values.append(contentsOf: values[range])
            if let times { result.times?.append(contentsOf: times[range]) }
            if let repeats { result.repeats?.append(contentsOf: repeats[range]) }
            result.offsets.append(result.itemRows.count)
        }
        precondition(result.count == count, "\(count - result.count) interactions are of users that are not named")
        return result
    }
}

extension Interactions {
    /// The interactions whose pair of user and item does not stand in `other`, under the same rows; and how many did.
    package func removing(_ other: Interactions) -> (kept: Interactions, removed: Int) {
        let userRows = (0..<UInt32(other.userCount)).map { row in other.users.withBytes(of: row) { users.row(of: $0) } }
        let itemRows = (0..<UInt32(other.itemCount)).map { row in other.items.withBytes(of: row) { items.row(of: $0) } }
        var isKept = [Bool](repeating: true, count: count)
        var removed = 0
        for otherUser in 0..<other.userCount {
            guard let user = userRows[otherUser] else { continue }
            let wanted = Set(other.range(of: otherUser).compactMap { itemRows[Int(other.itemRows[$0])] })
            for place in range(of: Int(user)) where wanted.contains(self.itemRows[place]) {
                isKept[place] = false
                removed += 1
            }
        }
        return (removed == 0 ? self : subset(isKept), removed)
    }
}

extension IDTable {
    /// The IDs of `rows`, in that order.
    package func reordered(_ rows: [UInt32]) -> IDTable {
        var table = IDTable()
        for row in rows {
            withBytes(of: row) { id in _ = table.intern(id) { _ in true } }
        }
        return table
    }
}
