extension Manifest {
    /// Reads the text of a `manifest.json`, checking every field that this version knows.
    ///
    /// - Parameter path: For messages.
    package init(json bytes: [UInt8], path: String) throws(ArtifactError) {
        let root: JSONValue
        do throws(JSONText.Fault) {
            root = try JSONText.parse(bytes)
        } catch {
            throw ArtifactError(
                .malformed, path: path, "not valid JSON: \(error.description); publish the bundle again")
        }
        try Self.checkFormat(root, path: path)
        let fields = ManifestFields(root: root, path: path)
        content = ManifestContent(
            name: try fields.text("name"),
            version: try fields.text("version"),
            created: try fields.timestamp("created"),
            counts: ManifestContent.Counts(
                users: try fields.count("users"), items: try fields.count("items"),
                interactions: try fields.count("interactions")),
            training: root["training"] ?? .null,
            evaluation: root["evaluation"] ?? .null,
            retrieval: root["retrieval"] ?? .null)
        files = try fields.files()
    }

    /// Is it one of ours, and can this version read it?
    static func checkFormat(_ root: JSONValue, path: String) throws(ArtifactError) {
        guard root["format"]?.stringValue == format else {
            throw ArtifactError(
                .notABundle, path: path, "not the manifest of a bundle: \"format\" is not \"\(format)\"")
        }
        for (key, known) in [("format_version", formatVersion), ("schema", schema)] {
            guard let version = root[key]?.intValue, version >= 1 else {
                throw ArtifactError(.malformed, path: path, "\"\(key)\" is missing or not a whole number from 1")
            }
            guard version <= known else {
                throw ArtifactError(
                    .newerFormat, path: path,
                    "\"\(key)\" is \(version) and this martlet reads up to \(known); upgrade martlet"
                )
            }
        }
    }

    package var json: JSONValue {
        [
            "format": .string(Self.format),
            "format_version": .int(Int64(Self.formatVersion)),
            "schema": .int(Int64(Self.schema)),
            "name": .string(name),
            "version": .string(version),
            "created": .string(created),
            "counts": [
                "users": .int(Int64(counts.users)), "items": .int(Int64(counts.items)),
                "interactions": .int(Int64(counts.interactions)),
            ],
            "files": .array(
                files.map { file in
                    var entry: [String: JSONValue] = [
                        "path": .string(file.path), "bytes": .int(Int64(file.bytes)), "sha256": .string(file.sha256),
                    ]
                    if !file.chunks.isEmpty {
                        entry["chunk_bytes"] = .int(Int64(Self.chunkBytes))
                        entry["chunks"] = .array(file.chunks.map { .string($0) })
                    }
                    return .object(entry)
                }),
            "training": training,
            "evaluation": evaluation,
            "retrieval": retrieval,
        ]
    }
}

/// Typed access to the members of a manifest, with messages that name the key.
private struct ManifestFields {
    let root: JSONValue
    let path: String

    func malformed(_ fault: String) -> ArtifactError { ArtifactError(.malformed, path: path, fault) }

    func text(_ key: String) throws(ArtifactError) -> String {
        guard let text = root[key]?.stringValue, (1...255).contains(text.utf8.count),
            !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F })
        else {
            throw malformed("\"\(key)\" is missing or not a text of 1 to 255 bytes")
        }
        return text
    }

    func timestamp(_ key: String) throws(ArtifactError) -> String {
        let text = try text(key)
        guard Timestamp.isValid(text) else {
            throw malformed("\"\(key)\" is not a time such as 2026-01-31T12:00:00Z")
        }
        return text
    }

    func count(_ key: String) throws(ArtifactError) -> Int {
        guard let count = root["counts"]?[key]?.intValue, count >= 0 else {
            throw malformed("\"counts.\(key)\" is missing or not a whole number from 0")
        }
        return count
    }

    func files() throws(ArtifactError) -> [Manifest.File] {
        guard let list = root["files"]?.arrayValue else { throw malformed("\"files\" is missing or not a list") }
        guard list.count <= Manifest.filesMax else {
            throw malformed("\"files\" lists \(list.count) files; at most \(Manifest.filesMax)")
        }
        var files: [Manifest.File] = []
        var seen: Set<String> = []
        for (index, entry) in list.enumerated() {
            let key = "files[\(index)]"
            guard let name = entry["path"]?.stringValue else { throw malformed("\"\(key).path\" is missing") }
            guard Manifest.isFileName(name) else {
                throw ArtifactError(
                    .unsafePath, path: path,
                    "\"\(key).path\" is \"\(name.prefix(80))\"; a file of a bundle has a plain name, without folders")
            }
            guard seen.insert(name).inserted else { throw malformed("\"\(key).path\": \(name) is listed twice") }
            guard let bytes = entry["bytes"]?.intValue, bytes >= 0 else {
                throw malformed("\"\(key).bytes\" is missing or not a whole number from 0")
            }
            guard let sum = entry["sha256"]?.stringValue, Self.isSum(sum) else {
                throw malformed("\"\(key).sha256\" is not 64 lower-case hexadecimal digits")
            }
            files.append(
                Manifest.File(path: name, bytes: bytes, sha256: sum, chunks: try chunks(entry, key, bytes: bytes)))
        }
        return files
    }

    /// The chunk sums of a file; none where the chunks have another size than ours.
    private func chunks(_ entry: JSONValue, _ key: String, bytes: Int) throws(ArtifactError) -> [String] {
        guard let list = entry["chunks"]?.arrayValue, entry["chunk_bytes"]?.intValue == Manifest.chunkBytes else {
            return []
        }
        let sums = list.compactMap(\.stringValue)
        let count = bytes / Manifest.chunkBytes + (bytes % Manifest.chunkBytes == 0 ? 0 : 1)
        guard sums.count == count, sums.count == list.count, sums.allSatisfy(Self.isSum) else {
            throw malformed("\"\(key).chunks\" is not \(count) times 64 lower-case hexadecimal digits")
        }
        return sums
    }

    private static func isSum(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy(\.isLowerHexadecimal)
    }
}

extension UInt8 {
    fileprivate var isLowerHexadecimal: Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(self)
    }
}
