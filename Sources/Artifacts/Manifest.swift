/// What the maker of a bundle says about it.
package struct ManifestContent: Equatable, Sendable {
    package struct Counts: Equatable, Sendable {
        package var users: Int
        package var items: Int
        package var interactions: Int

        package init(users: Int, items: Int, interactions: Int) {
            self.users = users
            self.items = items
            self.interactions = interactions
        }
    }

    /// The model's name, 1 to 255 bytes without control characters.
    package var name: String
    /// Free text that tells one training from the next.
    package var version: String
    /// RFC 3339, UTC.
    package var created: String
    package var counts: Counts
    /// How it was trained.
    package var training: JSONValue
    /// How good it was found to be.
    package var evaluation: JSONValue
    /// The mix of retrieval sources it is to be served with.
    package var retrieval: JSONValue

    /// - Parameter created: nil for now.
    package init(
        name: String, version: String, created: String? = nil, counts: Counts, training: JSONValue = .null,
        evaluation: JSONValue = .null, retrieval: JSONValue = .null
    ) {
        self.name = name
        self.version = version
        self.created = created ?? Timestamp.now()
        self.counts = counts
        self.training = training
        self.evaluation = evaluation
        self.retrieval = retrieval
    }
}

/// The `manifest.json` of a bundle: its content's description and the size and checksum of every file.
///
/// See docs/bundle-format.md for the keys.
package struct Manifest: Equatable, Sendable {
    package struct File: Equatable, Sendable {
        /// A plain file name.
        package let path: String
        package let bytes: Int
        /// 64 lower-case hexadecimal digits.
        package let sha256: String
        /// The SHA-256 of each `chunkBytes` of the file, so that a long one is checked by all cores; empty: not known.
        package let chunks: [String]

        init(path: String, bytes: Int, sha256: String, chunks: [String] = []) {
            self.path = path
            self.bytes = bytes
            self.sha256 = sha256
            self.chunks = chunks
        }
    }

    /// What the key `format` says.
    package static let format = "martlet-bundle"
    /// Changes when this file or the way files are listed changes.
    package static let formatVersion = 1
    /// Changes when the meaning or the names of tensors change.
    package static let schema = 1
    package static let fileName = "manifest.json"
    /// Holds the manifest's own SHA-256, in the form of `sha256sum`.
    package static let sumFileName = "manifest.sha256"
    package static let bytesMax = 4 << 20
    package static let filesMax = 256
    /// Bytes that each of a file's chunk sums covers.
    package static let chunkBytes = 16 << 20

    package var content: ManifestContent
    package var files: [File]

    package var name: String { content.name }
    package var version: String { content.version }
    package var created: String { content.created }
    package var counts: ManifestContent.Counts { content.counts }
    package var training: JSONValue { content.training }
    package var evaluation: JSONValue { content.evaluation }
    package var retrieval: JSONValue { content.retrieval }

    /// Size of all files, the manifest left out.
    package var totalBytes: Int { files.reduce(0) { $0 &+ $1.bytes } }

    /// Whether `name` may name a file of a bundle: letters, digits, `.`, `_`, `-`, not first a dot, 1 to 128 bytes.
    package static func isFileName(_ name: String) -> Bool {
        let allowed = name.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        return allowed && (1...128).contains(name.utf8.count) && !name.hasPrefix(".")
            && name != fileName && name != sumFileName
    }
}
