import Vocabulary

extension Interactions {
    /// The same interactions with the rows of a bundle: users by slot, then by the bytes of their ID; items by falling number
    /// of users, then by the bytes of their ID. Users and items without an interaction have no row.
    ///
    /// The result does not depend on the order of lines in the file, where times decide the order of histories.
    package func inBundleOrder() -> Interactions {
        let counts = itemCounts()
        let keptUsers = (0..<UInt32(userCount)).filter { !range(of: Int($0)).isEmpty }
        let slots = (0..<UInt32(userCount)).map { users.hash($0) % UInt64(Slot.count) }
        let userOrder = keptUsers.sorted { a, b in
            let (slotA, slotB) = (slots[Int(a)], slots[Int(b)])
            return slotA == slotB ? users.precedes(a, b) : slotA < slotB
        }
        let itemOrder = (0..<UInt32(itemCount)).filter { counts[Int($0)] > 0 }.sorted { a, b in
            let (countA, countB) = (counts[Int(a)], counts[Int(b)])
            return countA == countB ? items.precedes(a, b) : countA > countB
        }
        return renumbered(users: userOrder, items: itemOrder)
    }
}
