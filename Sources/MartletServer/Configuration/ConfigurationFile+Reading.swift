import Foundation

extension ServerConfiguration {
    /// Reads the text of the configuration file at `path`, at most `ConfigurationFile.bytesMax` bytes of it.
    ///
    /// - Throws: The one problem there is, with the path and what to do about it.
    package static func text(ofFile path: String) throws(ConfigurationError) -> String {
        func fault(_ words: String) -> ConfigurationError { ConfigurationError(problems: ["\(path): \(words)"]) }
        guard !path.isEmpty else {
            throw ConfigurationError(problems: ["the name of the configuration file is empty; name a YAML file"])
        }
        var information = stat()
        guard stat(path, &information) == 0 else {
            switch errno {
            case ENOENT, ENOTDIR:
                throw fault(
                    "there is no such file; correct --config (or MARTLET_CONFIG), or leave it out for the defaults")
            case EACCES: throw fault("a folder on the way to it may not be entered by this user; check its permissions")
            default: throw fault("cannot be looked at (\(String(cString: strerror(errno))))")
            }
        }
        guard information.st_mode & S_IFMT != S_IFDIR else {
            throw fault("is a folder, not a configuration; name the YAML file in it")
        }
        guard access(path, R_OK) == 0, let file = FileHandle(forReadingAtPath: path) else {
            throw fault("may not be read by this user; check its permissions (chmod u+r) and its owner")
        }
        defer { try? file.close() }
        guard let data = try? file.read(upToCount: ConfigurationFile.bytesMax + 1) ?? Data() else {
            throw fault("cannot be read to its end; check the disk that it lies on")
        }
        guard data.count <= ConfigurationFile.bytesMax else {
            throw fault("larger than \(ConfigurationFile.bytesMax) bytes; is it a configuration?")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw fault("is not UTF-8 text; a configuration is a YAML file in UTF-8")
        }
        return text
    }
}
