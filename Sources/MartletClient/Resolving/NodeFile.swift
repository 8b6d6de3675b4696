import NIOCore

#if canImport(Glibc)
    import Glibc
#endif

/// A list of nodes in a file: one a line, `HOST:PORT [WEIGHT]`; `#` begins a comment.
enum NodeFile {
    /// What tells one version of a file from another without reading it.
    struct Stamp: Equatable {
        var seconds: Int
        var nanoseconds: Int
        var inode: UInt64
        var bytes: Int
    }

    static let bytesMax = 1 << 20

    /// - Throws: `MartletClientError` that says why there is no such file.
    static func stamp(_ path: String) throws(MartletClientError) -> Stamp {
        var status = stat()
        guard stat(path, &status) == 0 else { throw fault(path, String(cString: strerror(errno))) }
        return Stamp(
            seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, inode: UInt64(status.st_ino),
            bytes: Int(status.st_size))
    }

    /// - Throws: `MartletClientError` that names the line which is wrong.
    static func read(_ path: String) throws(MartletClientError) -> [ClusterNode] {
        guard let file = fopen(path, "r") else { throw fault(path, String(cString: strerror(errno))) }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        guard ferror(file) == 0 else { throw fault(path, "it cannot be read; is it a folder?") }
        guard count <= bytesMax else { throw fault(path, "it has more than \(bytesMax) bytes") }
        return try parse(String(decoding: bytes[..<count], as: UTF8.self), path: path)
    }

    static func parse(_ text: String, path: String) throws(MartletClientError) -> [ClusterNode] {
        var nodes: [ClusterNode] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let words = line.prefix { $0 != "#" }.split { $0 == " " || $0 == "\t" }
            guard let address = words.first else { continue }
            guard words.count <= 2 else {
                throw fault(path, "line \(number + 1) has \(words.count) words; write HOST:PORT [WEIGHT]")
            }
            var weight = 1.0
            if words.count == 2 {
                guard let value = Double(words[1]), value > 0, value.isFinite else {
                    throw fault(path, "line \(number + 1): the weight '\(words[1])' is no number above 0")
                }
                weight = value
            }
            let node: ClusterNode
            do throws(MartletClientError) { node = try ClusterNode(parsing: String(address), weight: weight) } catch {
                throw fault(path, "line \(number + 1): \(error.message)")
            }
            guard !nodes.contains(where: { $0.name == node.name }) else {
                throw fault(path, "line \(number + 1): \(node.name) stands twice")
            }
            nodes.append(node)
        }
        guard !nodes.isEmpty else { throw fault(path, "it names no node") }
        return nodes
    }

    private static func fault(_ path: String, _ why: String) -> MartletClientError {
        MartletClientError(.unavailable, "the list of nodes in \(path): \(why)", retryIsSafe: true)
    }
}
