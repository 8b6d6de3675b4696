import Artifacts
import VectorMath

extension TensorFile {
    /// The values of a tensor of floats of any width, as Float32.
    ///
    /// - Throws: `ArtifactError` when it is missing, has another shape, or is not of F32, F16 or BF16.
    func floats(_ name: String, shape: [Int?]) throws(ArtifactError) -> [Float] {
        switch describe(name)?.type {
        case .f16:
            let tensor = try tensor(name, .f16, shape: shape)
            let halves = tensor.elements(as: UInt16.self)
            return [Float](unsafeUninitializedCapacity: halves.count) { out, count in
                count = halves.count
                guard let from = halves.baseAddress, let to = out.baseAddress else { return }
                withExtendedLifetime(tensor) { Kernels.widen(from, count: count, into: to) }
            }
        case .bf16:
            return try tensor(name, .bf16, shape: shape).array(of: UInt16.self).map {
                Float(bitPattern: UInt32($0) << 16)
            }
        default: return try tensor(name, .f32, shape: shape).array(of: Float.self)
        }
    }
}
