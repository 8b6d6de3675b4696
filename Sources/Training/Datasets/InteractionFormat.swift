/// How a file of interactions is written.
package enum InteractionFormat: String, CaseIterable, Sendable {
    /// Comma (or semicolon) separated, RFC 4180 quotes, with or without a header. MovieLens `ratings.csv` is one.
    case csv
    /// Tab separated, with or without a header. MovieLens 100K `u.data` is one.
    case tsv
    /// `user::item::value::timestamp`. MovieLens 1M and 10M `ratings.dat` are ones.
    case dat
    /// Separated by spaces, without a header: `user item value timestamp`. Never guessed, as it looks like adjacency.
    case spaces
    /// `user item item ...`, one line per user. The Gowalla and Yelp splits of LightGCN are ones.
    case adjacency

    /// The formats as a message lists them.
    package static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// What a file turned out to be.
struct FileLayout: Equatable {
    let format: InteractionFormat
    let separator: FieldSplitter.Separator
}

extension FileLayout {
    /// The layout of a file that was said to be of `format`.
    init(_ format: InteractionFormat, head: [String]) {
        let separator: FieldSplitter.Separator =
            switch format {
            case .csv: .byte(FileLayout.csvSeparator(head), quotes: true)
            case .tsv: .byte(UInt8(ascii: "\t"), quotes: true)
            case .dat: .doubleColon
            case .spaces, .adjacency: .whitespace
            }
        self.init(format: format, separator: separator)
    }

    /// Tells the layout from the first lines, and from the name where they leave a choice.
    ///
    /// A separator counts when it stands in the first and in half of the lines; `::` goes before tab, tab before comma, comma
    /// before semicolon. Lines with spaces only, or a `.txt` without any separator, are adjacency lines.
    static func detect(name: String, head: [String]) throws(DatasetError) -> FileLayout {
        let lines = head.prefix(50)
        guard let first = lines.first else { throw DatasetError(.empty, "\(name): no line in it but blank ones") }
        func rules(_ separator: String) -> Bool {
            first.contains(separator) && lines.count { $0.contains(separator) } * 2 >= lines.count
        }

        var plain = name.lowercased()
        if plain.hasSuffix(".gz") { plain.removeLast(3) }
        if plain.hasSuffix(".csv"), rules(",") || rules(";") { return FileLayout(.csv, head: head) }
        if rules("::") { return FileLayout(.dat, head: head) }
        if rules("\t") {
            // One user per line, and as many items as they have: the number of tabs differs and passes that of four fields.
            let counts = Set(lines.map { line in line.utf8.count { $0 == 0x09 } })
            let isAdjacency = counts.count > 1 && counts.contains { $0 > 3 }
            return FileLayout(isAdjacency ? .adjacency : .tsv, head: head)
        }
        if rules(",") || rules(";") { return FileLayout(.csv, head: head) }
        let hasSeparator = lines.contains { $0.contains(",") || $0.contains(";") || $0.contains("::") }
        if !hasSeparator, lines.contains(where: { $0.contains(" ") || $0.contains("\t") }) || plain.hasSuffix(".txt") {
            return FileLayout(.adjacency, head: head)
        }
        let shown = first.utf8.withContiguousStorageIfAvailable { LineFault.shortened($0) } ?? String(first.prefix(40))
        throw DatasetError(
            .unknownFormat,
            "\(name): the format cannot be told from the name or the first line '\(shown)'; "
                + "say which with --format (\(InteractionFormat.names))")
    }

    private static func csvSeparator(_ head: [String]) -> UInt8 {
        let lines = head.prefix(50)
        let semicolons = lines.count { $0.contains(";") }
        let commas = lines.count { $0.contains(",") }
        return semicolons > commas ? UInt8(ascii: ";") : UInt8(ascii: ",")
    }
}

/// Which field of a line is what.
struct ColumnPlan: Equatable {
    var user: Int
    var item: Int
    var value: Int?
    var time: Int?
    /// How many fields a line has to have: exactly, if there is no header, else at least as many as are read.
    var fieldCount: Int
    var hasHeader: Bool

    /// How a message names what a line should be.
    var expectation: String {
        var names = Array(repeating: "...", count: fieldCount)
        names[user] = "user"
        names[item] = "item"
        if let value { names[value] = "value" }
        if let time { names[time] = "timestamp" }
        return "\(fieldCount) fields (\(names.joined(separator: ", ")))"
    }
}

extension ColumnPlan {
    static let userNames: Set<String> = [
        "user", "userid", "uid", "u", "username", "reviewerid", "customer", "customerid", "visitor", "visitorid",
        "member", "memberid", "account", "accountid", "profileid", "sessionid", "session", "playerid",
    ]
    static let itemNames: Set<String> = [
        "item", "itemid", "iid", "i", "movie", "movieid", "product", "productid", "sku", "asin", "parentasin", "track",
        "trackid", "song", "songid", "artist", "artistid", "book", "bookid", "isbn", "article", "articleid", "business",
        "businessid", "content", "contentid", "poi", "location", "locationid", "venueid", "gameid", "recipeid",
        "newsid",
        "videoid",
    ]
    static let valueNames: Set<String> = [
        "value", "rating", "ratings", "weight", "score", "count", "plays", "playcount", "stars", "quantity",
        "preference",
        "overall", "rate",
    ]
    static let timeNames: Set<String> = [
        "timestamp", "time", "ts", "date", "datetime", "createdat", "eventtime", "unixtime", "unixreviewtime", "t",
    ]

    /// The plan of a file with `fields` in its first line; a header is one when it names a user and an item.
    static func make(first fields: [String]) throws(LineFault) -> ColumnPlan {
        let names = fields.map(normalised)
        let user = names.firstIndex(where: userNames.contains)
        let item = names.firstIndex(where: itemNames.contains)
        if let user, let item, user != item {
            let value = names.firstIndex(where: valueNames.contains)
            let time = names.firstIndex(where: timeNames.contains)
            let needed = max(user, item, value ?? 0, time ?? 0) + 1
            return ColumnPlan(
                user: user, item: item, value: value, time: time, fieldCount: needed, hasHeader: true)
        }
        guard (2...4).contains(fields.count) else {
            throw LineFault(
                expected: "user, item[, value[, timestamp]], or a header that names them",
                found: "\(fields.count) field\(fields.count == 1 ? "" : "s")")
        }
        if user != nil || item != nil || isNameRow(names) {
            throw LineFault(
                expected: "a header that names user and item (such as user_id, item_id, rating, timestamp)",
                found: fields.joined(separator: ", ").prefix(60).description)
        }
        return ColumnPlan(
            user: 0, item: 1, value: fields.count > 2 ? 2 : nil, time: fields.count > 3 ? 3 : nil,
            fieldCount: fields.count, hasHeader: false)
    }

    /// Whether the first line names a value or a time where a number would stand.
    private static func isNameRow(_ names: [String]) -> Bool {
        names.dropFirst(2).contains { valueNames.contains($0) || timeNames.contains($0) }
    }

    /// "User_ID" and "user_id:token" are "userid".
    static func normalised(_ name: String) -> String {
        let base = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        return String(base.lowercased().unicodeScalars.filter { !"_-. \"#%".unicodeScalars.contains($0) })
    }
}
