import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct MalformedInputTests {
    let folder: ScratchFolder
    init() throws { folder = try ScratchFolder() }

    @Test(arguments: [
        ("user,item,value\na,x,1\nb,y,lots\n", 3, "a finite number as value, found 'lots'"),
        ("user,item,value\na,x,nan\n", 2, "a finite number as value, found 'nan'"),
        ("user,item,value\na,x,inf\n", 2, "a finite number as value, found 'inf'"),
        ("user,item,value\na,x,1e300\n", 2, "a finite number as value"),
        ("user,item,value\na,x,0x10\n", 2, "a finite number as value"),
        ("user,item,value\na,x,\n", 2, "a finite number as value, found ''"),
        (
            "a,x,1,964982703\na,y,1,yesterday\n", 2,
            "a timestamp (seconds or milliseconds since 1970, or an ISO 8601 date), found 'yesterday'"
        ),
        ("a,x,1,2001-02-29\n", 1, "a timestamp"),
        ("a,x,1,2001-02-28T25:00:00\n", 1, "a timestamp"),
        ("a,x,1\n\n\nb,y\n", 4, "3 fields (user, item, value), found '2 fields'"),
        ("user,item\na\n", 2, "2 fields (user, item), found '1 field'"),
        ("a,x\n,y\n", 2, "a user ID of 1 to 255 bytes, found ''"),
        ("a,x\nb,\n", 2, "an item ID of 1 to 255 bytes"),
        ("a,x\nb,\"y\n", 2, "a closing quote"),
        ("user,title,rating\na,x,1\n", 1, "a header that names user and item"),
        (
            "a,b,c,d,e\n1,2,3,4,5\n", 1,
            "user, item[, value[, timestamp]], or a header that names them, found '5 fields'"
        ),
    ])
    func `A bad line is an error that names file, line and what was expected`(text: String, line: Int, expected: String)
        throws
    {
        let path = try folder.write("bad.csv", text)
        let error = try #require(failure(path))
        #expect(error.code == .badLine)
        #expect(error.message.hasPrefix("\(path), line \(line): expected "), "\(error.message)")
        #expect(error.message.contains(expected), "\(error.message)")
    }

    @Test func `Skipped lines are counted, the first few shown, and the rest is read`() throws {
        let text = "user,item,value\na,x,1\nb,y,lots\nc\n,z,1\nd,s,\ne,w,2\n\"f\",v,nan\ng,u,3\nh,t,1,9\n"
        let (interactions, report) = try InteractionImporter(ImportOptions(skipBadLines: true))
            .read(folder.write("bad.csv", text))
        #expect(interactions.named.map(\.user) == ["a", "e", "g", "h"])
        #expect(report.badLines == 5 && report.lines == 9)
        #expect(report.badLineSamples.count == 5)
        #expect(report.badLineSamples[0].contains("line 3: expected a finite number as value, found 'lots'"))
    }

    @Test func `After a quote that is never closed reading goes on with the next line`() throws {
        let text = "user,item\na,x\nb,\"never closed\nc,y\nd,z\n"
        let (interactions, report) = try InteractionImporter(ImportOptions(skipBadLines: true))
            .read(folder.write("bad.csv", text))
        #expect(interactions.named.map(\.user) == ["a", "c", "d"])
        #expect(report.badLines == 1)
        #expect(report.badLineSamples[0].contains("line 3: expected a closing quote, found 'b,\"never closed"))
    }

    @Test func `A bad line leaves no user and no item behind`() throws {
        let bytes = Array("a,x\nb,".utf8) + [0xC3, 0x28] + Array("\nc,y\n".utf8)
        let path = try folder.write("bad.csv", bytes)
        #expect(failure(path)?.message.contains("line 2: expected an item ID in UTF-8, found '?('") == true)
        let interactions = try imported(path, ImportOptions(skipBadLines: true))
        #expect(interactions.userCount == 2 && interactions.itemCount == 2)
        #expect(interactions.users.row(of: "b") == nil)
    }

    @Test func `IDs of 255 bytes are read and longer ones are not`() throws {
        let long = String(repeating: "é", count: 127) + "x"
        #expect(try imported(folder.write("ok.csv", "\(long),x\n")).users.string(0) == long)
        let error = failure(try folder.write("bad.csv", "a,x\n\(long)y,x\n"))
        #expect(error?.message.contains("line 2: expected a user ID of 1 to 255 bytes") == true)
        #expect((error?.message.utf8.count ?? .max) < 400)
    }

    @Test func `A line of a megabyte is read or refused, with a short message`() throws {
        let items = (0..<150_000).map(String.init).joined(separator: " ")
        #expect(items.utf8.count > 900_000)
        #expect(try imported(folder.write("long.txt", "u \(items)\nv 1\n")).count == 150_001)
        let error = try #require(
            failure(try folder.write("long.csv", "a,x\nb,\(String(repeating: "y", count: 1 << 20))\n")))
        #expect(error.code == .badLine && error.message.contains("(1048576 bytes)") && error.message.utf8.count < 400)
    }

    @Test func `A file without a usable line is an error`() throws {
        #expect(failure(try folder.write("empty.csv", ""))?.code == .empty)
        #expect(failure(try folder.write("blank.csv", "\n\n  \r\n\t\n"))?.code == .empty)
        #expect(failure(try folder.write("header.csv", "user,item\n"))?.code == .empty)
        #expect(failure(try folder.write("low.csv", "a,x,0\nb,x,-1\n"))?.message.contains("--min-value") == true)
        #expect(failure(try folder.write("users.txt", "1\n2\n3\n"))?.code == .empty)
        let bad = failure(
            try folder.write("bad.csv", "user,item,value\na,x,q\nb,y,z\n"), ImportOptions(skipBadLines: true))
        #expect(bad?.code == .empty && bad?.message.contains("2 bad lines") == true)
        let one = failure(try folder.write("one.csv", "user,item,value\na,x,q\n"), ImportOptions(skipBadLines: true))
        #expect(one?.message.contains("no usable interaction in 1 line; 1 bad line skipped, the first") == true)
    }

    @Test func `A file that is missing, a directory, binary, or UTF-16 is refused`() throws {
        #expect(failure("\(folder.path)/nothing.csv")?.message == "\(folder.path)/nothing.csv: no such file")
        var random = SplitMix64(seed: 3)
        let garbage = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        #expect(failure(try folder.write("garbage.csv", garbage))?.message.contains("binary") == true)
        #expect(failure(try folder.write("wide.csv", [0xFF, 0xFE, 0x61, 0x00]))?.message.contains("UTF-16") == true)
        #expect(failure(try folder.write("prose", "hello\nworld\n"))?.code == .unknownFormat)
    }

    @Test func `What can be read is told from what cannot without reading it`() throws {
        try FileSystem.checkReadable(try folder.write("some.csv", "a,x\n"))
        let error = #expect(throws: DatasetError.self) { try FileSystem.checkReadable("\(folder.path)/nothing.csv") }
        let directory = #expect(throws: DatasetError.self) { try FileSystem.checkReadable(folder.path) }
        #expect(directory?.message.hasSuffix("is a directory; name a file in it") == true)
        #expect(error == DatasetError(.notFound, "\(folder.path)/nothing.csv: no such file"))
    }

    @Test func `A gzip file that is cut off or changed is refused`() throws {
        let text = (0..<20_000).map { "u\($0 % 97),i\($0)\n" }.joined()
        let path = try folder.writeGzip("ok.csv.gz", Array(text.utf8))
        let packed = try readBytes(path)
        for share in [0.1, 0.5, 0.99] {
            let cut = try folder.write("cut.csv.gz", Array(packed.prefix(Int(Double(packed.count) * share))))
            #expect(failure(cut)?.message.contains("ends early") == true, "\(failure(cut)?.message ?? "no error")")
        }
        #expect(failure(try folder.write("cut.csv.gz", Array(packed.prefix(2))))?.code == .unreadable)
        var changed = packed
        changed[packed.count / 2] ^= 0x55
        #expect(failure(try folder.write("changed.csv.gz", changed))?.code != nil)
        #expect(failure(try folder.write("tail.csv.gz", packed + [1, 2, 3]))?.message.contains("damaged") == true)
        #expect(try imported(folder.write("padded.csv.gz", packed + [0, 0, 0])).count == 20_000)
    }

    @Test func `No bytes make the importer do anything but answer or refuse`() throws {
        var random = SplitMix64(seed: 5)
        let seeds = [
            "user,item,value,time\na,x,1,964982703\nb,\"y\",2,2001-01-01\n", "1::2::3::4\n5::6::7::8\n",
            "1 2 3\n4 5 6\n",
            "a\tb\t1\t5\nc\td\t2\t6\n",
        ]
        let formats: [InteractionFormat?] = [nil] + InteractionFormat.allCases
        for round in 0..<2000 {
            var bytes = Array((seeds.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch UInt8.random(in: 0...3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 1...255, using: &random)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert([0x22, 0x0A, 0x0D, 0x2C, 0x3A][place % 5], at: place)
                default: bytes.insert(contentsOf: bytes[place...], at: place)
                }
            }
            let path = try folder.write("mutated", bytes)
            let options = ImportOptions(
                format: formats.randomElement(using: &random) ?? nil, skipBadLines: Bool.random(using: &random))
            do {
                let (interactions, report) = try InteractionImporter(options).read(path)
                #expect(interactions.count == report.pairs - report.duplicates, "round \(round)")
                #expect(interactions.itemCounts().allSatisfy { $0 > 0 }, "round \(round)")
            } catch is DatasetError {}
        }
    }
}
