import Artifacts
import Features
import RankingModels
import TestSupport
import Testing

@testable import Training

@Suite(.ownThreads) struct ExampleReaderTests {
    private func file(_ folder: TemporaryFolder, _ name: String, _ text: String) throws -> String {
        try folder.write(Array(text.utf8), to: name)
        return folder.file(name)
    }

    @Test func `columns of a CSV file become features by what they hold`() throws {
        let folder = try TemporaryFolder()
        var text = "user,price,label,genres,n,skip\n"
        for row in 0..<200 {
            text += "u\(row % 5),\(row).5,\(row % 3 == 0 ? 1 : 0),a|\"\(row % 2 == 0 ? "b" : "c")\",\(row % 4),x\n"
        }
        let path = try file(folder, "train.csv", text.replacing("\"", with: ""))
        var options = ExampleOptions()
        options.ignored = ["skip"]
        let reader = try ExampleReader(surveying: path, options)
        #expect(reader.schema.fields.map(\.name) == ["user", "price", "genres", "n"])
        guard case .dense(.quantile, let missing) = reader.schema.fields[1].kind,
            case .categorical(.dictionary(let genres), isMultivalued: true) = reader.schema.fields[2].kind,
            case .categorical(.dictionary(let few), isMultivalued: false) = reader.schema.fields[3].kind
        else {
            Issue.record("\(reader.schema)")
            return
        }
        #expect(missing == 100.5 && genres == ["a", "b", "c"] && few.sorted() == ["0", "1", "2", "3"])
        let rows = try reader.read(path)
        #expect(rows.count == 200 && rows.labels.filter { $0 == 1 }.count == 67)
        let layout = rows.rows.layout
        #expect(rows.rows.bag(1, 0).map { Int($0) - layout.categorical[1].tableOffset } == [1, 3])
        #expect(rows.rows.dense[0] == -1 && rows.rows.dense[199] == 1)
        // Another file by the same schema: unknown values, missing numbers, columns in another order.
        let other = try file(folder, "test.csv", "label,n,genres,user,price\n1,99,,nobody,\n")
        let test = try reader.read(other)
        #expect(test.rows.ids[0] == UInt32(layout.categorical[0].tableOffset))
        #expect(abs(test.rows.dense[0]) < 0.02)
        #expect(test.rows.bag(0, 0).map(Int.init) == [layout.categorical[1].tableOffset])
    }

    @Test func `libfm lines become places, or one field when they are of different lengths`() throws {
        let folder = try TemporaryFolder()
        let even = try file(folder, "a.libfm", "1 3:1 10:1\n-1 4:1 10:1\n\n0 3:1 12:1.0\n")
        var options = ExampleOptions()
        options.minCount = 1
        let reader = try ExampleReader(surveying: even, options)
        #expect(reader.schema.fields.map(\.name) == ["place_1", "place_2"])
        let rows = try reader.read(even)
        #expect(rows.labels == [1, 0, 0])
        #expect(rows.rows.ids[0] == rows.rows.ids[4] && rows.rows.ids[1] == rows.rows.ids[3])
        // What stands there once is taken for unknown, unless it is to count.
        let sparing = try ExampleReader(surveying: even, ExampleOptions())
        let spared = try sparing.read(even)
        #expect(spared.rows.ids[0] != spared.rows.ids[2])
        #expect(Int(spared.rows.ids[2]) == spared.rows.layout.categorical[0].tableOffset)
        let ragged = try file(folder, "b.libfm", "1 3:1 10:1\n-1 4:1\n")
        let bag = try ExampleReader(surveying: ragged, ExampleOptions())
        #expect(bag.schema.fields.map(\.name) == ["features"])
        #expect(try bag.read(ragged).rows.bag(0, 0).count == 2)
        // Lists stay lists where all lines of another file have as many entries.
        #expect(try bag.read(even).rows.bag(2, 0).count == 2)
        // Places cannot be told apart in lines of different lengths.
        let error = #expect(throws: DatasetError.self) { _ = try reader.read(ragged) }
        #expect(
            error.map { "\($0)" }?.contains(
                "b.libfm, line 2: it has 1 entries where the lines before have 2, so places do not tell fields apart")
                == true)
    }

    @Test(arguments: [
        ("x.csv", "user,label\nu,1,2\n", "line 2: expected 2 fields"),
        ("x.csv", "label,u,a,u\n1,2,3,4\n", "line 1: the columns 2 and 4 are both called \"u\""),
        ("x.csv", "label,,u\n1,2,3\n", "line 1: column 2 has no name"),
        ("x.csv", "label\n1\n", "line 1: expected 2 to 4096 columns, found 1"),
        ("x.csv", "user,label\nu,yes\n", "line 2: expected a number as label, found 'yes'"),
        ("x.csv", "user,rating\nu,1\n", "no column is called \"label\""),
        ("x.csv", "", "no header line"),
        ("x.csv", "user,label\n", "cannot be"),
        ("x.libfm", "", "holds no examples"),
        ("x.libfm", "1 3:1\n1 3\n", "line 2: expected index:value, found '3'"),
        ("x.libfm", "1 3:2\n", "line 1: expected the value 1"),
        ("x.libfm", "1 3:x\n", "line 1: expected a number after the colon"),
    ])
    func `what cannot be read is named with its line`(name: String, text: String, reason: String) throws {
        let folder = try TemporaryFolder()
        let path = try file(folder, name, text)
        let error = #expect(throws: DatasetError.self) {
            _ = try ExampleReader(surveying: path, ExampleOptions()).read(path)
        }
        let message = "\(error.map { "\($0)" } ?? "")"
        #expect(message.contains(reason) || reason == "cannot be", "\(message)")
        #expect(message.contains(name), "\(message)")
    }

    @Test func `a ranker's file reads back, and says what is wrong with it`() throws {
        let folder = try TemporaryFolder()
        let path = try file(folder, "a.csv", "u,g,p,label\na,x|y,0.5,1\nb,y,1.5,0\nc,,,1\n")
        var options = ExampleOptions()
        options.dense = ["p"]
        let reader = try ExampleReader(surveying: path, options)
        var configuration = NetworkConfiguration(
            shape: .init(embeddingWidth: 3, hidden: [7], hasLinear: true, hasPairs: true))
        configuration.epochs = 1
        let rows = try reader.read(path)
        let fit = try NetworkFit.fit(configuration, rows, validation: rows, threads: 1, clock: { 0 })
        let ranker = try NetworkRanker(schema: reader.schema, weights: fit.weights, path: "here")
        let out = "\(folder.path)/ranker.safetensors"
        try ranker.write(to: TensorFileWriter(path: out, metadata: ranker.metadata))
        #expect(try NetworkRanker(TensorFile(path: out)) == ranker)
        for (key, value, reason) in [
            ("features_sha256", "0000", "the weights were made for 0000"),
            ("weights_sha256", "0000", "were written with 0000: the file is damaged"),
            ("kind", "forest", "kind forest"),
            ("shape", "{}", "its shape needs"), ("shape", "[", "is not JSON"), ("features", "{}", "lacks \"format\""),
            (
                "shape", "{\"embedding_width\":4,\"hidden\":[7],\"linear\":true,\"pairs\":true}",
                "mlp.0.weight"
            ),
        ] {
            var metadata = try ranker.metadata
            metadata[key] = value
            let bad = "\(folder.path)/\(key)-\(value.count).safetensors"
            try ranker.write(to: TensorFileWriter(path: bad, metadata: metadata))
            let error = #expect(throws: ArtifactError.self) { try NetworkRanker(TensorFile(path: bad)) }
            #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
            #expect(error?.path == bad)
        }
        // One changed bit, and files of other tools that carry no hash.
        var damaged = ranker
        damaged.weights.layers[0].weights[5] += 0.125
        let worn = "\(folder.path)/worn.safetensors"
        try damaged.write(to: TensorFileWriter(path: worn, metadata: ranker.metadata))
        #expect(throws: ArtifactError.self) { try NetworkRanker(TensorFile(path: worn)) }
        var plain = try ranker.metadata
        plain["weights_sha256"] = nil
        let foreign = "\(folder.path)/foreign.safetensors"
        try damaged.write(to: TensorFileWriter(path: foreign, metadata: plain))
        #expect(try NetworkRanker(TensorFile(path: foreign)) == damaged)
    }
}
