#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the kernel says of the process.
package struct ProcessStatistics: Sendable, Equatable {
    package var cpuSeconds = 0.0
    package var startSeconds = 0.0
    package var residentBytes: UInt64 = 0
    package var virtualBytes: UInt64 = 0
    package var openDescriptors: UInt64 = 0
    package var openDescriptorsMax: UInt64 = 0
    package var threads: UInt64 = 0
    package var majorFaults: UInt64 = 0

    /// Reads /proc of this process; a field that cannot be read stays 0.
    package static func read() -> ProcessStatistics {
        var result = ProcessStatistics()
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        let page = UInt64(sysconf(Int32(_SC_PAGESIZE)))
        // The name in the second field may hold anything; what follows its last bracket is numbers, from field 3 on.
        if let stat = text(of: "/proc/self/stat"), let end = stat.lastIndex(of: ")") {
            let fields = stat[stat.index(after: end)...].split(separator: " ")
            func field(_ number: Int) -> UInt64 { number - 3 < fields.count ? UInt64(fields[number - 3]) ?? 0 : 0 }
            result.majorFaults = field(12)
            result.cpuSeconds = Double(field(14) + field(15)) / ticks
            result.threads = field(20)
            result.virtualBytes = field(23)
            result.residentBytes = field(24) * page
            result.startSeconds = bootSeconds() + Double(field(22)) / ticks
        }
        if let directory = opendir("/proc/self/fd") {
            var entries: UInt64 = 0
            while readdir(directory) != nil { entries += 1 }
            closedir(directory)
            // Without ".", ".." and the descriptor of this very listing.
            result.openDescriptors = entries > 3 ? entries - 3 : 0
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            result.openDescriptorsMax = UInt64(limit.rlim_cur)
        }
        return result
    }

    /// Resident bytes alone: one short read.
    package static func resident() -> UInt64 {
        guard let text = text(of: "/proc/self/statm") else { return 0 }
        let fields = text.split(separator: " ")
        return fields.count > 1 ? (UInt64(fields[1]) ?? 0) * UInt64(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    /// Resident bytes of mapped files whose path does not end in `suffix`: code, libraries and their data. Walks over all of
    /// the process' pages, which takes some milliseconds.
    package static func residentFiles(exceptThoseEndingIn suffix: String) -> UInt64 {
        guard let text = text(of: "/proc/self/smaps") else { return 0 }
        var total: UInt64 = 0
        var counts = false
        for line in text.split(separator: "\n") {
            if line.hasPrefix("Rss:") {
                if counts { total += UInt64(line.split(separator: " ").dropFirst().first ?? "") ?? 0 }
            } else if let first = line.first, first.isHexDigit, !first.isUppercase {
                // A mapping: addresses, rights, offset, device, inode and, of a file, its path.
                counts = line.contains(" /") && !line.hasSuffix(suffix) && !line.hasSuffix(suffix + " (deleted)")
            }
        }
        return total * 1024
    }

    private static func bootSeconds() -> Double {
        guard let stat = text(of: "/proc/stat") else { return 0 }
        for line in stat.split(separator: "\n") where line.hasPrefix("btime ") {
            return Double(line.dropFirst("btime ".count)) ?? 0
        }
        return 0
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count <= 0 { break }
            bytes.append(contentsOf: chunk[..<count])
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
