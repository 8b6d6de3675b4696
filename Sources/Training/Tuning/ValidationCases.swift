/// Users to ask for, and what they did that the training part does not know.
struct ValidationCases: Sendable {
    /// Rows of the training data, ascending.
    let users: [UInt32]
    /// Ascending item rows of each.
    let relevant: [[UInt32]]

    var count: Int { users.count }

    /// Finds users and items of `validation` by ID in `training`; nil when nobody is left.
    ///
    /// - Parameter usersMax: More users than that are thinned out evenly over the rows.
    init?(_ training: Interactions, _ validation: Interactions, usersMax: Int) {
        let itemRows = (0..<UInt32(validation.itemCount)).map { row in
            validation.items.withBytes(of: row) { training.items.row(of: $0) }
        }
        var found: [(user: UInt32, relevant: [UInt32])] = []
        for other in 0..<validation.userCount {
            guard let user = validation.users.withBytes(of: UInt32(other), { training.users.row(of: $0) }) else {
                continue
            }
            let seen = Set(training.itemRows[training.range(of: Int(user))])
            let relevant = Set(validation.range(of: other).compactMap { itemRows[Int(validation.itemRows[$0])] })
                .subtracting(seen).sorted()
            if !relevant.isEmpty { found.append((user, relevant)) }
        }
        if found.isEmpty { return nil }
        found.sort { $0.user < $1.user }
        let kept = min(found.count, usersMax)
        let sample = (0..<kept).map { found[found.count * $0 / kept] }
        users = sample.map(\.user)
        relevant = sample.map(\.relevant)
    }
}
