import Features
import Foundation
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

@Suite(.ownThreads) struct ONNXImportTests {
    @Test func `there are fixtures`() { #expect(ONNXFixture.all.count == 19) }

    @Test(arguments: ONNXFixture.all)
    func `scores are those of onnxruntime`(fixture: ONNXFixture) throws {
        let ranker = try ONNXImport.ranker(fixture.path, schema: fixture.schema)
        let logits = fixture.logits(ranker)
        #expect(logits.count == fixture.outputs.count)
        for (logit, output) in zip(logits, fixture.outputs) {
            let score = fixture.areProbabilities ? 1 / (1 + exp(-Double(logit))) : Double(logit)
            #expect(abs(score - output) <= 1e-5 * max(1, abs(output)), "\(score) \(output)")
        }
    }

    @Test func `networks come out as they were built, however they were written down`() throws {
        for name in ["deepfm_torchscript_11", "deepfm_dynamo_18", "fields_dynamo_21", "products_dynamo_18"] {
            let fixture = try ONNXFixture.named(name)
            let shape = try ONNXImport.ranker(fixture.path, schema: fixture.schema).weights.shape
            #expect(
                shape == NetworkShape(embeddingWidth: 3, hidden: [6, 5], hasLinear: true, hasPairs: true), "\(name)")
        }
        // Two towers side by side are one network, and embeddings of 2, 4 and 3 become as wide as the widest.
        let towers = try ONNXFixture.named("columns_dynamo_18")
        let shape = try ONNXImport.ranker(towers.path, schema: towers.schema).weights.shape
        #expect(shape == NetworkShape(embeddingWidth: 4, hidden: [7, 5], hasLinear: false, hasPairs: false))
        let linear = try ONNXFixture.named("sklearn_lr")
        let flat = try ONNXImport.ranker(linear.path, schema: linear.schema).weights.shape
        #expect(flat == NetworkShape(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false))
    }

    private func fault(_ name: String, _ change: (inout FeatureSchema) -> Void, output: String? = nil) throws -> String
    {
        let fixture = try ONNXFixture.named(name)
        var schema = fixture.schema
        change(&schema)
        do throws(ArtifactError) {
            _ = try ONNXImport.ranker(fixture.path, schema: schema, output: output)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test func `a schema that is not the graph's is refused`() throws {
        func bucket(_ field: Int, _ count: Int) -> (inout FeatureSchema) -> Void {
            { $0.fields[field].kind = .categorical(.hashed(buckets: count), isMultivalued: false) }
        }
        let less = try fault("fields_dynamo_21", bucket(1, 6))
        #expect(less.contains("has 8 rows; the schema's fields (c1) have 7"), "\(less)")
        let more = try fault("fields_dynamo_21", bucket(1, 8))
        #expect(more.contains("has 8 rows; the field \"c1\" takes 0 to 8"), "\(more)")
        let moved = try fault("deepfm_dynamo_18", bucket(2, 9))
        #expect(moved.contains("the field \"c2\" takes 13 to 22"), "\(moved)")
        let narrow = try fault("deepfm_dynamo_18") { $0.fields.remove(at: 0) }
        #expect(narrow.contains("\"ids\" has the shape [any, 3]; 2 columns"), "\(narrow)")
        let number = try fault("columns_dynamo_18") { $0.fields[0].kind = .dense(.none, missing: 0) }
        #expect(number.contains("takes whole numbers; \"c0\" is none"), "\(number)")
        let unused = try fault("columns_dynamo_18") {
            $0.fields.append(FeatureField("price", from: .context("price"), .dense(.none, missing: 0)))
        }
        #expect(unused.contains("the feature \"price\" goes into no input"), "\(unused)")
        let several = try fault("deepfm_dynamo_18") {
            $0.fields[0].kind = .categorical(.hashed(buckets: 4), isMultivalued: true)
        }
        #expect(several.contains("\"c0\" has several values"), "\(several)")
        #expect(try fault("sklearn_lr", { _ in }, output: "gone").contains("no output \"gone\""))
    }

    /// A file with other bytes in place of some.
    private func changed(_ name: String, _ old: String, _ new: String) throws -> String {
        let fixture = try ONNXFixture.named(name)
        precondition(old.utf8.count == new.utf8.count)
        let bytes = try fixture.bytes
        let text = Array(old.utf8)
        var copy = bytes
        for at in 0...(bytes.count - text.count) where Array(bytes[at..<(at + text.count)]) == text {
            copy.replaceSubrange(at..<(at + text.count), with: Array(new.utf8))
        }
        #expect(copy != bytes)
        do throws(ArtifactError) {
            _ = try ONNXImport.ranker(copy, path: "model.onnx", schema: fixture.schema)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test func `an operator that cannot be read is named, with another way`() throws {
        let said = try changed("sklearn_mlp", "Relu", "Tanh")
        #expect(said.hasPrefix("model.onnx: the node Tanh"), "\(said)")
        #expect(said.contains("cannot be read"))
        #expect(said.contains("--weights"))
        let sigmoid = try changed("columns_dynamo_18", "Relu", "Mish")
        #expect(sigmoid.contains("the node Mish"), "\(sigmoid)")
    }

    @Test func `the operators are those of the documentation`() throws {
        let words = try Repository.text(of: "docs/ranker-import.md").split { $0.isWhitespace }.joined(separator: " ")
        #expect(words.contains("Operators: \(GraphEvaluator.operators.joined(separator: ", "))."))
    }

    @Test func `broken files never crash`() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        var accepted = 0
        for fixture in ONNXFixture.all {
            let bytes = try fixture.bytes
            for _ in 0..<300 {
                let mutated = random.mutated(bytes)
                if (try? ONNXImport.ranker(mutated, path: "model.onnx", schema: fixture.schema)) != nil {
                    accepted += 1
                }
            }
            for length in stride(from: 0, to: bytes.count, by: max(1, bytes.count / 40)) {
                _ = try? ONNXImport.ranker(Array(bytes[..<length]), path: "model.onnx", schema: fixture.schema)
            }
        }
        // Most of a small model's bytes are names and weights.
        #expect(accepted < 19 * 300)
    }
}
