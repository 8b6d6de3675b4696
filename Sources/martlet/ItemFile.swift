import ArgumentParser
import Artifacts
import Foundation
import MartletClient
import Training
import Vocabulary

/// Reads the items of `martlet items upsert`.
enum ItemFile {
    /// Bytes of a file of JSON lines.
    private static let bytesMax = 1 << 30
    /// Of one call; a frame takes a megabyte by default.
    private static let callBytesMax = 512 << 10

    /// - Throws: `ValidationError` that names file and line; `DatasetError`.
    static func read(_ path: String) throws -> [ItemDescription] {
        let items = path.hasSuffix(".jsonl") || path.hasSuffix(".ndjson") ? try lines(path) : try columns(path)
        if items.isEmpty { throw ValidationError("\(path) describes no item; write one a line") }
        return items
    }

    /// Items in groups that fit a call.
    static func groups(_ items: [ItemDescription]) -> [[ItemDescription]] {
        var groups: [[ItemDescription]] = []
        var group: [ItemDescription] = []
        var bytes = 0
        for item in items {
            let own = size(item)
            if group.count == RequestLimits.changedItemsMax || (bytes + own > callBytesMax && !group.isEmpty) {
                groups.append(group)
                (group, bytes) = ([], 0)
            }
            group.append(item)
            bytes += own
        }
        return group.isEmpty ? groups : groups + [group]
    }

    private static func size(_ item: ItemDescription) -> Int {
        let texts = item.tags + item.attributes.flatMap { [$0.attribute] + $0.texts }
        return 64 + item.item.utf8.count + item.title.utf8.count + 4 * item.vector.count
            + texts.reduce(0) { $0 + $1.utf8.count + 16 }
    }

    // MARK: CSV and TSV

    private static func columns(_ path: String) throws -> [ItemDescription] {
        let attributes = try ItemAttributes.read(path)
        return attributes.entries.sorted { $0.key < $1.key }.map { id, entry in
            var item = ItemDescription(item: id, title: entry.title, tags: entry.tags)
            for (place, column) in attributes.attributes where place < entry.places.count && entry.places[place] != 0 {
                let field = entry.places[place]
                item.attributes.append(
                    ItemAttributeValue(
                        column.name, texts: column.isNumber ? [] : column.texts(field),
                        number: column.isNumber ? column.number(field) : nil))
            }
            item.fromSeconds = entry.window?.from
            item.untilSeconds = entry.window?.until
            return item
        }
    }

    // MARK: JSON lines

    private static let keys: Set = ["item", "title", "tags", "attributes", "vector", "from", "until"]

    private static func lines(_ path: String) throws -> [ItemDescription] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ValidationError("\(path) cannot be read; name a file with one JSON object a line")
        }
        guard data.count <= bytesMax else {
            throw ValidationError("\(path) has more than \(bytesMax) bytes; split it")
        }
        var items: [ItemDescription] = []
        for (number, line) in data.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { continue }
            do {
                items.append(try item(try JSONText.parse(Array(line))))
            } catch {
                throw ValidationError("\(path), line \(number + 1): \(error)")
            }
        }
        return items
    }

    private struct Fault: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    private static func item(_ value: JSONValue) throws(Fault) -> ItemDescription {
        guard let members = value.objectValue, let id = members["item"]?.stringValue else {
            throw Fault("an object with \"item\" is needed, such as {\"item\": \"a\", \"title\": \"A\"}")
        }
        if let unknown = members.keys.sorted().first(where: { !keys.contains($0) }) {
            throw Fault("\"\(unknown)\" is not known; allowed: \(keys.sorted().joined(separator: ", "))")
        }
        var item = ItemDescription(item: id)
        if let title = members["title"] {
            guard let text = title.stringValue else { throw Fault("\"title\" is no text") }
            item.title = text
        }
        item.tags = try texts(members["tags"], "tags")
        for (name, value) in (members["attributes"]?.objectValue ?? [:]).sorted(by: { $0.key < $1.key }) {
            if let number = value.doubleValue {
                item.attributes.append(ItemAttributeValue(name, number: number))
            } else {
                item.attributes.append(ItemAttributeValue(name, texts: try texts(value, name)))
            }
        }
        for number in members["vector"]?.arrayValue ?? [] {
            guard let number = number.doubleValue else { throw Fault("\"vector\" holds what is no number") }
            item.vector.append(Float(number))
        }
        item.fromSeconds = try seconds(members["from"], "from")
        item.untilSeconds = try seconds(members["until"], "until")
        return item
    }

    private static func texts(_ value: JSONValue?, _ name: String) throws(Fault) -> [String] {
        guard let value, value != .null else { return [] }
        if let text = value.stringValue { return [text] }
        var texts: [String] = []
        for element in value.arrayValue ?? [.null] {
            guard let text = element.stringValue else {
                throw Fault("\"\(name)\" is neither a text nor a list of texts")
            }
            texts.append(text)
        }
        return texts
    }

    private static func seconds(_ value: JSONValue?, _ name: String) throws(Fault) -> Int64? {
        guard let value, value != .null else { return nil }
        guard let seconds = value.intValue else { throw Fault("\"\(name)\" is no whole number of seconds since 1970") }
        return Int64(seconds)
    }
}
