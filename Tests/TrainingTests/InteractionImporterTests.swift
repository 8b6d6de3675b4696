import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct InteractionImporterTests {
    let folder: ScratchFolder
    init() throws { folder = try ScratchFolder() }

    private let expected = [
        NamedPair(user: "u1", item: "i1", value: 4, time: 964_982_703_000),
        NamedPair(user: "u1", item: "i2", value: 3.5, time: 964_982_800_000),
        NamedPair(user: "u2", item: "i1", value: 5, time: 964_982_224_000),
    ]

    @Test(arguments: [
        ("u.data", "u1\ti1\t4\t964982703\nu1\ti2\t3.5\t964982800\nu2\ti1\t5\t964982224\n"),
        ("ratings.dat", "u1::i1::4::964982703\nu1::i2::3.5::964982800\nu2::i1::5::964982224\n"),
        (
            "ratings.csv",
            "userId,movieId,rating,timestamp\nu1,i1,4.0,964982703\nu1,i2,3.5,964982800\nu2,i1,5.0,964982224\n"
        ),
        ("plain.csv", "u1,i1,4.0,964982703\nu1,i2,3.5,964982800\nu2,i1,5.0,964982224\n"),
        (
            "swapped.csv",
            "ts,Item_ID,weight,extra,USER\n964982703,i1,4,x,u1\n964982800,i2,3.5,x,u1\n964982224,i1,5,x,u2\n"
        ),
        ("semicolons.csv", "user;item;rating;timestamp\nu1;i1;4;964982703\nu1;i2;3.5;964982800\nu2;i1;5;964982224\n"),
        (
            "atomic.inter",
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu1\ti1\t4\t964982703.0\nu1\ti2\t3.5\t9.649828e8\nu2\ti1\t5\t964982224.0\n"
        ),
        (
            "iso.csv",
            "user,item,value,time\nu1,i1,4,2000-07-30T18:45:03Z\nu1,i2,3.5,2000-07-30 18:46:40\nu2,i1,5,2000-07-30T20:37:04+02:00\n"
        ),
        (
            "milliseconds.tsv",
            "user\titem\tvalue\ttime\nu1\ti1\t4\t964982703000\nu1\ti2\t3.5\t964982800000\nu2\ti1\t5\t964982224000\n"
        ),
        (
            "quoted.csv",
            "\"user\",\"item\",\"value\",\"time\"\r\n\"u1\",\"i1\",\"4\",\"964982703\"\r\nu1,\"i2\",3.5,964982800\r\n\r\n\"u2\",i1,5,\"964982224\"\r\n"
        ),
        (
            "blanks.csv",
            "\u{FEFF}\n\n user , item , rating , timestamp \n\n u1 , i1 , 4 , 964982703\n   \nu1,i2,3.5,964982800\n\t\nu2,i1,5,964982224"
        ),
    ])
    func `A file in any of the known shapes gives the same interactions`(name: String, text: String) throws {
        #expect(try imported(folder.write(name, text)).named == expected)
        #expect(try imported(folder.writeGzip(name + ".gz", Array(text.utf8))).named == expected)
    }

    @Test func `Adjacency lines give one pair per item and an empty user none`() throws {
        let path = try folder.write("train.txt", "0 10 11 12\n1\n2 10 \r\n3\t12  10\n\n4 12")
        let (interactions, report) = try InteractionImporter().read(path)
        #expect(report.format == .adjacency)
        #expect(report.lines == 5 && report.pairs == 7)
        #expect(
            interactions.named.map { "\($0.user) \($0.item)" } == [
                "0 10", "0 11", "0 12", "2 10", "3 12", "3 10", "4 12",
            ])
        #expect(interactions.userCount == 4 && interactions.times == nil)
    }

    @Test func `A format that was asked for is not guessed`() throws {
        let path = try folder.write("train.txt", "0 10 4 964982703\n1 11 3 964982703\n")
        #expect(try imported(path).count == 6)
        let spaced = try imported(path, ImportOptions(format: .spaces))
        #expect(
            spaced.named == [
                NamedPair(user: "0", item: "10", value: 4, time: 964_982_703_000),
                NamedPair(user: "1", item: "11", value: 3, time: 964_982_703_000),
            ])
    }

    @Test func `A pair that stands there more than once keeps its last value and time and is counted`() throws {
        let text = "user,item,value,time\na,x,1,300\nb,x,1,1\na,y,2,200\na,x,5,100\na,x,7,300\n"
        let (interactions, report) = try InteractionImporter().read(folder.write("d.csv", text))
        #expect(report.duplicates == 2 && report.pairs == 5)
        #expect(
            interactions.named == [
                NamedPair(user: "a", item: "y", value: 2, time: 200_000),
                NamedPair(user: "a", item: "x", value: 7, time: 300_000, repeats: 3),
                NamedPair(user: "b", item: "x", value: 1, time: 1000),
            ])
    }

    @Test func `Without times the order is that of the last appearance`() throws {
        let path = try folder.write("d.csv", "a,x\na,y\na,z\na,x\n")
        #expect(try imported(path).named.map(\.item) == ["y", "z", "x"])
    }

    @Test func `Values of zero and less are no sign of interest unless a minimum says so`() throws {
        let path = try folder.write("d.csv", "user,item,value\na,x,0\na,y,-1\na,z,2\nb,z,4\n")
        let (plain, report) = try InteractionImporter().read(path)
        #expect(plain.count == 2 && report.belowMinimum == 2 && report.lines == 4)
        #expect(plain.itemCount == 1)
        #expect(try imported(path, ImportOptions(minimumValue: 0)).count == 3)
        #expect(try imported(path, ImportOptions(minimumValue: 4)).named.map(\.user) == ["b"])
    }

    @Test func `Quoted fields may hold separators, quotes and line ends`() throws {
        let text = "user,item\n\"a,b\",\"say \"\"hi\"\"\"\n\"two\nlines\",\" spaced \"\nlast,\"x\"\n"
        let interactions = try imported(folder.write("d.csv", text))
        #expect(interactions.named.map(\.user) == ["a,b", "two\nlines", "last"])
        #expect(interactions.named.map(\.item) == ["say \"hi\"", " spaced ", "x"])
    }

    @Test func `What is written as CSV is read back the same`() throws {
        var random = SplitMix64(seed: 7)
        let alphabet = ["a", "ü", ",", "\"", " ", "\n", "\r", "\t", ";", "::", "鳥", "0", "'", "\u{1F426}", "|"]
        func name() -> String {
            (0..<Int.random(in: 1...8, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? "a" }
                .joined()
        }
        for round in 0..<60 {
            var builder = InteractionBuilder(hasValues: true, hasTimes: round % 2 == 0)
            let items = (0..<20).map { _ in name() }
            for _ in 0..<100 {
                builder.add(
                    user: name(), item: items.randomElement(using: &random) ?? "a",
                    value: Float(Int.random(in: 1...50, using: &random)) / 4,
                    time: Int64.random(in: 1_000_000_000_000...1_900_000_000_000, using: &random))
            }
            var original = builder.finish().interactions
            original.repeats = nil
            let path = "\(folder.path)/round\(round).csv"
            try original.writeCSV(to: path)
            let back = try imported(path)
            #expect(back.named == original.named, "round \(round)")
        }
    }

    @Test func `The order of lines does not matter where times decide`() throws {
        var random = SplitMix64(seed: 11)
        var lines = (0..<500).map { n in "u\(n % 17),i\(n * n % 71),\(n % 5 + 1),\(1_000_000_000 + n * 7)" }
        let reference = try imported(folder.write("d0.csv", lines.joined(separator: "\n"))).named.sorted()
        for round in 1...5 {
            lines.shuffle(using: &random)
            #expect(
                try imported(folder.write("d\(round).csv", lines.joined(separator: "\n"))).named.sorted() == reference)
        }
    }

    @Test func `Lines across the edges of what is read at once are whole`() throws {
        // Longer than the 1 MiB window, with lines of changing length.
        var text = ""
        var expected: [String] = []
        for n in 0..<120_000 {
            let item = String(repeating: "x", count: n % 23) + "\(n)"
            text += "u\(n / 100),\(item)\n"
            expected.append(item)
        }
        #expect(text.utf8.count > 2 << 20)
        let interactions = try imported(folder.write("long.csv", text))
        #expect(interactions.named.map(\.item) == expected)
        #expect(try imported(folder.writeGzip("long.csv.gz", Array(text.utf8))).named.map(\.item) == expected)
    }

    @Test func `A gzip file of several members is one file`() throws {
        _ = try folder.writeGzip("d.csv.gz", Array("a,x\na,y\n".utf8))
        let path = try folder.writeGzip("d.csv.gz", Array("b,x\n".utf8), append: true)
        #expect(try imported(path).count == 3)
    }

    @Test func `A directory stands for the ratings in it`() throws {
        _ = try folder.write("movies.csv", "movieId,title,genres\n1,A,B\n")
        let text = "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n"
        let path = try folder.write("ratings.csv", text)
        let (interactions, report) = try InteractionImporter().read(folder.path)
        #expect(interactions.count == 1 && report.files == [path])
        let empty = try ScratchFolder()
        #expect(failure(empty.path)?.code == .notFound)
        #expect(failure(empty.path)?.message.contains("ratings.csv") == true)
    }

    @Test func `Progress comes along the way and can end the import`() throws {
        let text = String(repeating: "user,item,1,964982703\n", count: 200_000)
        let path = try folder.write("d.csv", text)
        var seen: [Int] = []
        _ = try InteractionImporter { seen.append($0.bytesRead) }.read(path)
        #expect(seen.count >= 4 && seen == seen.sorted() && seen.last == text.utf8.count)
        #expect(throws: CancellationError.self) {
            try InteractionImporter { _ in throw CancellationError() }.read(path)
        }
    }
}
