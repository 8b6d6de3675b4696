import Artifacts
import Vocabulary

/// What a catalogue may hold of its items beside IDs, titles, tags and popularity.
package struct ItemDetailColumns: Sendable {
    package var attributes: [ItemAttribute] = []
    /// Nil when no item has a window.
    package var availability: AvailabilityColumns?
    /// By which name the tags can be filtered as if they were an attribute.
    package var tagsName = Self.defaultTagsName

    package static let defaultTagsName = "tags"
    /// The key in the file's metadata.
    static let tagsNameKey = "tags"

    package init() {}

    package var byteCount: Int {
        attributes.reduce(availability?.byteCount ?? 0) { $0 + $1.byteCount }
    }
}

extension ItemDetailColumns {
    /// Values of one attribute for each row, to make columns of.
    package struct Source {
        package enum Content {
            case text((UInt32) -> [String])
            case number((UInt32) -> Double?)
        }

        package var name: String
        package var content: Content

        package init(name: String, _ content: Content) {
            self.name = name
            self.content = content
        }
    }

    /// Makes columns in memory.
    ///
    /// - Parameters:
    ///   - sources: At most `ItemAttribute.countMax`, each with a name of its own. Values of a text are made of 1 to 255
    ///     bytes; empty and repeated ones are left out.
    ///   - windows: Nil when no item has one.
    package init(
        _ sources: [Source], windows: ((UInt32) -> AvailabilityWindow?)? = nil,
        tagsName: String = Self.defaultTagsName, itemCount: Int, path: String = "items"
    ) throws(ArtifactError) {
        self.tagsName = tagsName
        try Self.checkNames(sources.map(\.name), path: path)
        let rows = 0..<UInt32(itemCount)
        for source in sources {
            let content: ItemAttribute.Content
            switch source.content {
            case .text(let values):
                content = .text(
                    try TextAttribute(
                        rows.map { values($0).filter { !$0.isEmpty } }, valuesMax: ItemAttribute.valuesPerItemMax,
                        what: Self.names(source.name, source.name), path: path))
            case .number(let value):
                content = .number(
                    try NumberAttribute(
                        Column(rows.map { value($0) ?? .nan }), name: source.name, itemCount: itemCount, path: path))
            }
            attributes.append(ItemAttribute(name: source.name, content: content))
        }
        if let windows {
            let all = rows.map { windows($0) ?? AvailabilityWindow() }
            availability = try AvailabilityColumns(
                from: Column(all.map { $0.from ?? AvailabilityWindow.openFrom }),
                until: Column(all.map { $0.until ?? AvailabilityWindow.openUntil }), itemCount: itemCount, path: path)
        }
    }

    // MARK: Files

    private enum Kind: UInt8 {
        case text = 0
        case number = 1
    }

    /// Reads and checks what the file holds; nothing in a file from before there were attributes.
    init(_ file: TensorFile, itemCount: Int) throws(ArtifactError) {
        func invalid(_ fault: String) -> ArtifactError { ArtifactError(.invalidContent, path: file.path, fault) }
        tagsName = file.metadata[Self.tagsNameKey] ?? Self.defaultTagsName
        if file.has("attributes.offsets") {
            let names = try IDDictionary(file, "attributes", count: nil, what: "attribute name")
            let kinds = Column<UInt8>(try file.tensor("attributes.kinds", .u8, shape: [names.count]))
            try Self.checkNames((0..<UInt32(names.count)).map(names.string), path: file.path)
            for number in 0..<names.count {
                let name = names.string(UInt32(number))
                guard let kind = Kind(rawValue: kinds[number]) else {
                    throw invalid(
                        "attributes.kinds says \(kinds[number]) of attribute \"\(name)\"; 0 (text) and 1 (number) exist"
                    )
                }
                attributes.append(
                    ItemAttribute(
                        name: name, content: try Self.content(file, number, kind, name: name, itemCount: itemCount)))
            }
        }
        if file.has("available.from") || file.has("available.until") {
            availability = try AvailabilityColumns(
                from: Column(try file.tensor("available.from", .i64, shape: [itemCount])),
                until: Column(try file.tensor("available.until", .i64, shape: [itemCount])), itemCount: itemCount,
                path: file.path)
        }
    }

    private static func content(
        _ file: TensorFile, _ number: Int, _ kind: Kind, name: String, itemCount: Int
    ) throws(ArtifactError) -> ItemAttribute.Content {
        let tensor = "attribute.\(number)"
        switch kind {
        case .text:
            return .text(
                try TextAttribute(
                    names: try IDDictionary(
                        file, "\(tensor).values", count: nil, what: "value of attribute \"\(name)\""),
                    offsets: Column(try file.tensor("\(tensor).item_offsets", .u32, shape: [itemCount + 1])),
                    assigned: Column(try file.tensor("\(tensor).item_values", .u32, shape: [nil])),
                    itemCount: itemCount, valuesMax: ItemAttribute.valuesPerItemMax, what: names(tensor, name),
                    path: file.path))
        case .number:
            return .number(
                try NumberAttribute(
                    Column(try file.tensor("\(tensor).numbers", .f64, shape: [itemCount])),
                    name: "\(tensor).numbers (attribute \"\(name)\")", itemCount: itemCount, path: file.path))
        }
    }

    func declare(in writer: TensorFileWriter) throws(ArtifactError) {
        if !attributes.isEmpty {
            try nameDictionary().declare("attributes", in: writer)
            writer.declare("attributes.kinds", .u8, shape: [attributes.count])
        }
        for (number, attribute) in attributes.enumerated() {
            switch attribute.content {
            case .text(let text):
                text.names.declare("attribute.\(number).values", in: writer)
                writer.declare("attribute.\(number).item_offsets", .u32, shape: [text.offsets.count])
                writer.declare("attribute.\(number).item_values", .u32, shape: [text.assigned.count])
            case .number(let numbers):
                writer.declare("attribute.\(number).numbers", .f64, shape: [numbers.column.count])
            }
        }
        if let availability {
            writer.declare("available.from", .i64, shape: [availability.fromColumn.count])
            writer.declare("available.until", .i64, shape: [availability.untilColumn.count])
        }
    }

    func write(to writer: TensorFileWriter) throws(ArtifactError) {
        if !attributes.isEmpty {
            try nameDictionary().write("attributes", to: writer)
            let kinds = attributes.map { attribute -> UInt8 in
                if case .text = attribute.content { Kind.text.rawValue } else { Kind.number.rawValue }
            }
            try writer.append(kinds, to: "attributes.kinds")
        }
        for (number, attribute) in attributes.enumerated() {
            switch attribute.content {
            case .text(let text):
                try text.names.write("attribute.\(number).values", to: writer)
                try writer.append(text.offsets.values, to: "attribute.\(number).item_offsets")
                try writer.append(text.assigned.values, to: "attribute.\(number).item_values")
            case .number(let numbers):
                try writer.append(numbers.column.values, to: "attribute.\(number).numbers")
            }
        }
        if let availability {
            try writer.append(availability.fromColumn.values, to: "available.from")
            try writer.append(availability.untilColumn.values, to: "available.until")
        }
    }

    private func nameDictionary() throws(ArtifactError) -> IDDictionary {
        try IDDictionary(attributes.map(\.name), what: "attribute name")
    }

    private static func checkNames(_ names: [String], path: String) throws(ArtifactError) {
        guard names.count <= ItemAttribute.countMax else {
            throw ArtifactError(
                .invalidContent, path: path,
                "\(names.count) attributes; at most \(ItemAttribute.countMax) are allowed")
        }
        var seen: Set<String> = []
        for name in names where !seen.insert(name).inserted {
            throw ArtifactError(.invalidContent, path: path, "the attribute \"\(name)\" stands twice")
        }
    }

    private static func names(_ tensor: String, _ name: String) -> (offsets: String, assigned: String, value: String) {
        (
            "\(tensor).item_offsets (attribute \"\(name)\")", "\(tensor).item_values (attribute \"\(name)\")",
            "value of attribute \"\(name)\""
        )
    }
}
