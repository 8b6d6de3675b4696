import NIOSSL

/// What TLS to Redis trusts.
package enum RedisTLS {
    /// - Parameters:
    ///   - trustedFile: Certificates in PEM; nil: those of the system.
    ///   - certificateFile: Of this client, with `keyFile`, where the server asks for one.
    /// - Throws: What NIOSSL says of the files.
    package static func context(
        trustedFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil
    ) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let trustedFile { configuration.trustRoots = .file(trustedFile) }
        if let certificateFile, let keyFile {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificateFile).map { .certificate($0) }
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: keyFile, format: .pem))
        }
        return try NIOSSLContext(configuration: configuration)
    }
}
