import Artifacts
import Vocabulary

/// What `martlet model inspect` shows of a bundle, as a table for people or as JSON.
package struct ModelSummary: Sendable {
    package let inspection: BundleInspection
    /// Nil when the files that describe them are missing or faulty.
    private let contents: Contents?
    /// Everything that is wrong; a bundle with faults would not be served.
    package let faults: [ArtifactError]

    private struct Contents: Sendable {
        let historyEntries: Int
        let hasTimes: Bool
        let tagCount: Int
        let recentItems: Int
        /// Name and kind of each attribute.
        let attributes: [(name: String, kind: String, distinct: Int?)]
        let windows: Int
        let popular: [(id: String, title: String, interactions: UInt64)]
    }

    /// Looks at a bundle, and into it.
    ///
    /// - Throws: `ArtifactError` when there is no bundle or its manifest cannot be trusted.
    package init(of path: String, verify: Bundle.Verification = .full) throws(ArtifactError) {
        inspection = try BundleInspection(of: path, verify: verify)
        var faults = inspection.faults
        var contents: Contents?
        if faults.isEmpty {
            do throws(ArtifactError) {
                contents = try Self.look(into: try Bundle(opening: path, verify: .sizes))
            } catch {
                faults.append(error)
            }
        }
        self.contents = contents
        self.faults = faults
    }

    private static func look(into bundle: Bundle) throws(ArtifactError) -> Contents {
        let users = try UserDirectory(bundle: bundle)
        let items = try ItemCatalog(bundle: bundle)
        return Contents(
            historyEntries: users.interactionCount, hasTimes: users.hasTimes, tagCount: items.tagCount,
            recentItems: items.recentOrder.count,
            attributes: items.details.attributes.map {
                switch $0.content {
                case .text(let text): ($0.name, "text", text.valueCount)
                case .number: ($0.name, "number", nil)
                }
            }, windows: items.details.availability?.windowCount ?? 0,
            popular: items.popularOrder.prefix(5).map { (items.name($0), items.title($0), items.interactions($0)) })
    }
}

extension ModelSummary {
    package var json: JSONValue {
        let manifest = inspection.manifest
        var members = manifest.json.objectValue ?? [:]
        members["path"] = .string(inspection.path)
        members["bytes"] = .int(Int64(manifest.totalBytes))
        members["sound"] = .bool(faults.isEmpty)
        members["faults"] = .array(faults.map { ["code": .string($0.code.rawValue), "message": .string("\($0)")] })
        members["files"] = .array(
            inspection.files.map { entry in
                let tensors = entry.tensors.map { tensor -> JSONValue in
                    let shape = tensor.shape.map { JSONValue.int(Int64($0)) }
                    return [
                        "name": .string(tensor.name), "type": .string(tensor.type.rawValue), "shape": .array(shape),
                    ]
                }
                return [
                    "path": .string(entry.file.path), "bytes": .int(Int64(entry.file.bytes)),
                    "sha256": .string(entry.file.sha256), "state": .string(entry.state.label),
                    "tensors": .array(tensors),
                ]
            })
        if let contents {
            members["contents"] = [
                "history_entries": .int(Int64(contents.historyEntries)), "history_times": .bool(contents.hasTimes),
                "tags": .int(Int64(contents.tagCount)), "recent_items": .int(Int64(contents.recentItems)),
                "attributes": .array(
                    contents.attributes.map { ["name": .string($0.name), "kind": .string($0.kind)] }),
                "availability_windows": .int(Int64(contents.windows)),
            ]
        }
        return .object(members)
    }

    /// Lines for a terminal.
    ///
    /// - Parameter showsTensors: Whether each file's tensors are listed below it.
    package func table(showsTensors: Bool = false) -> String {
        let manifest = inspection.manifest
        var sections = [
            TextTable.pairs([
                ("model", "\(manifest.name)@\(manifest.version)"),
                ("created", manifest.created),
                ("folder", inspection.path),
                ("users", TextTable.grouped(manifest.counts.users)),
                ("items", TextTable.grouped(manifest.counts.items)),
                ("interactions", TextTable.grouped(manifest.counts.interactions)),
                ("size", "\(TextTable.bytes(manifest.totalBytes)) in \(manifest.files.count.counted("file"))"),
            ])
        ]
        sections.append(fileTable(showsTensors: showsTensors))
        if let contents {
            var pairs = [
                (
                    "history entries",
                    TextTable.grouped(contents.historyEntries) + (contents.hasTimes ? ", with times" : "")
                ),
                ("tags", TextTable.grouped(contents.tagCount)),
                ("attributes", Self.list(contents.attributes)),
                ("windows", "\(TextTable.grouped(contents.windows)) items that are not always available"),
                ("had lately", "\(TextTable.grouped(contents.recentItems)) items"),
            ]
            for (index, item) in contents.popular.enumerated() {
                let title = item.title.isEmpty ? item.id : "\(item.title) (\(item.id))"
                pairs.append(
                    (
                        index == 0 ? "most popular" : "",
                        "\(TextTable.grouped(Int(clamping: item.interactions)))  \(title)"
                    ))
            }
            sections.append("contents\n" + TextTable.indented(TextTable.pairs(pairs)))
        }
        for (title, value) in [
            ("training", manifest.training), ("retrieval", manifest.retrieval), ("evaluation", manifest.evaluation),
        ] where value != .null {
            sections.append("\(title)\n" + TextTable.indented(TextTable.outline(value)))
        }
        return sections.joined(separator: "\n\n")
    }

    /// "brand (text, 12 values), price (number)"
    private static func list(_ attributes: [(name: String, kind: String, distinct: Int?)]) -> String {
        if attributes.isEmpty { return "none" }
        return attributes.map { attribute in
            let values = attribute.distinct.map { ", \($0.counted("value"))" } ?? ""
            return "\(attribute.name) (\(attribute.kind)\(values))"
        }.joined(separator: ", ")
    }

    private func fileTable(showsTensors: Bool) -> String {
        var rows = [["file", "size", "sha256", "state"]]
        for entry in inspection.files {
            rows.append([
                entry.file.path, TextTable.bytes(entry.file.bytes), String(entry.file.sha256.prefix(12)),
                entry.state.label,
            ])
            guard showsTensors else { continue }
            for tensor in entry.tensors {
                let shape = tensor.shape.map(String.init).joined(separator: " x ")
                rows.append(["  \(tensor.name)", "", tensor.type.rawValue, shape])
            }
        }
        return TextTable.columns(rows, rightAligned: [1])
    }
}

extension BundleInspection.FileState {
    /// One word for tables and JSON.
    package var label: String {
        switch self {
        case .verified: "verified"
        case .sizeOnly: "size_only"
        case .faulty(let error): error.code.rawValue
        }
    }
}
