//! Cases of a test.yaml.
//!
//! ```yaml
//! cases:
//! - name: a signed image may run
//!   object: {…}                    # or a file; also oldObject, namespace, operation, userInfo, message, after
//!   expect: allow
//!   now: "2026-01-31T12:00:00Z"    # when it is judged; the present when it is left out
//!   images:                        # what would be found
//!   - image: registry.example.com/shop/web:1.2
//!     digest: sha256:…             # made up when it is left out
//!     signedBy: [release]          # authorities of the policy; who is not named has not signed
//!     invalid: [ci]                # whose signature is broken or forged
//!     unavailable: [notary]        # of whom it cannot be found out
//!     attestations:
//!     - {predicateType: slsaprovenance1, signedBy: [ci], predicate: {…}}      # or invalid, unavailable
//!     platforms: [{os: linux, architecture: amd64, config: {user: "65532"}}]
//!   - image: registry.example.com/shop/gone:1
//!     answer: NotFound             # or Invalid, Unavailable: then nothing else is known
//! ```

use stockade_cel::source::Span;

use super::exception::read_time;
use super::{Field, Members, Reader, image_trust};
use crate::cases::{
    CaseSource, Expect, MAX_ATTESTATIONS, MAX_CASES, MAX_IMAGES, OPERATIONS, Signed, StatedAnswer, StatedAttestation,
    StatedContent, StatedImage, StatedPlatform,
};
use crate::compiled::Origin;
use crate::images::{Digest, ImageReference, MAX_AUTHORITIES};
use crate::tree::{Content, Node};

/// Longest sentence, message and name.
const MAX_TEXT_BYTES: usize = 4 << 10;

const EXPECTATIONS: [(&str, Expect); 7] = [
    ("allow", Expect::Allow),
    ("deny", Expect::Deny),
    ("warn", Expect::Warn),
    ("audit", Expect::Audit),
    ("waived", Expect::Waived),
    ("mutated", Expect::Mutated),
    ("unchanged", Expect::Unchanged),
];

/// Reads the one document of a file.
pub(crate) fn read(reader: &mut Reader<'_>, documents: &[Node]) -> Vec<CaseSource> {
    let [document] = documents else {
        let message = format!("holds {} documents where one is wanted", documents.len());
        let span = documents.get(1).map_or(Span::new(0, 0), |second| second.span);
        reader.report_at(span, "", message);
        return Vec::new();
    };
    let Some(mut members) = reader.members(&Field::root(document)) else { return Vec::new() };
    let cases = members.require(reader, "cases", "");
    let cases = cases.map(|f| reader.bounded_list(&f, MAX_CASES)).unwrap_or_default();
    members.finish(reader);
    cases.iter().filter_map(|item| read_case(reader, item)).collect()
}

fn read_case(reader: &mut Reader<'_>, item: &Field<'_>) -> Option<CaseSource> {
    let mut members = reader.members(item)?;
    let name = members.require(reader, "name", "a sentence").and_then(|f| text(reader, &f));
    let operations = OPERATIONS.map(|name| (name, name));
    let operation = members.get("operation").and_then(|f| reader.choice(&f, &operations));
    let message = members.get("message").and_then(|f| text(reader, &f));
    let [object, old_object, namespace, user_info, after] =
        ["object", "oldObject", "namespace", "userInfo", "after"].map(|f| members.get(f).map(|f| f.node.to_json()));
    if object.is_none() && old_object.is_none() {
        reader.missing(item, "object", "neither object nor oldObject");
    }
    let now = members.get("now").and_then(|f| read_time(reader, &f));
    let images = members.get("images").map(|f| read_images(reader, &f)).unwrap_or_default();
    let expect = members.require(reader, "expect", "").and_then(|f| reader.choice(&f, &EXPECTATIONS));
    members.finish(reader);
    let line = reader.file.position(item.node.span.start).line;
    let origin = Origin { file: reader.file.name().clone(), line };
    Some(CaseSource {
        origin,
        name: name?,
        operation,
        object,
        old_object,
        namespace,
        user_info,
        now,
        images,
        expect: expect?,
        message,
        after,
    })
}

fn text(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<String> {
    reader.bounded_string(field, MAX_TEXT_BYTES).map(str::to_owned)
}

fn read_images(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<StatedImage> {
    let mut images: Vec<StatedImage> = Vec::new();
    for item in reader.bounded_list(field, MAX_IMAGES) {
        let Some(mut members) = reader.members(&item) else { continue };
        let reference = members.require(reader, "image", "as an object names it");
        let reference = reference.and_then(|f| {
            let found = ImageReference::parse(reader.string(&f)?);
            match found {
                Err(fault) => reader.invalid(&f, &fault.to_string()),
                Ok(ref reference) if images.iter().any(|i| i.reference == *reference) => reader.duplicate(&f),
                Ok(_) => {}
            }
            found.ok()
        });
        let content = read_content(reader, &mut members, reference.as_ref());
        members.finish(reader);
        if let (Some(reference), Some(content)) = (reference, content) {
            images.push(StatedImage { reference, content });
        }
    }
    images
}

fn read_content(
    reader: &mut Reader<'_>,
    members: &mut Members<'_>,
    reference: Option<&ImageReference>,
) -> Option<StatedContent> {
    let answer = members.get("answer");
    let digest = members.get("digest");
    let signed = ["signedBy", "invalid", "unavailable"].map(|name| members.get(name));
    let (attestations, platforms) = (members.get("attestations"), members.get("platforms"));
    if let Some(answer) = answer {
        let more = [&digest, &attestations, &platforms].into_iter().chain(&signed);
        for field in more.flatten() {
            reader.forbidden(field, "not beside answer: of such an image nothing else is known");
        }
        let answers = [
            ("NotFound", StatedAnswer::NotFound),
            ("Invalid", StatedAnswer::Invalid),
            ("Unavailable", StatedAnswer::Unavailable),
        ];
        return reader.choice(&answer, &answers).map(StatedContent::Answer);
    }
    let digest = read_digest(reader, digest.as_ref(), reference);
    let signatures = read_signed(reader, &signed);
    let attestations = attestations.map(|f| read_attestations(reader, &f)).unwrap_or_default();
    let platforms = platforms.map(|f| read_platforms(reader, &f)).unwrap_or_default();
    Some(StatedContent::Image { digest: digest?, signatures, attestations, platforms })
}

/// The digest that is written, or that of the reference, or one made up that is the same each time.
fn read_digest(
    reader: &mut Reader<'_>,
    field: Option<&Field<'_>>,
    reference: Option<&ImageReference>,
) -> Option<Digest> {
    let own = reference.and_then(|r| r.digest());
    let Some(field) = field else {
        let text = own.map_or_else(|| made_up(reference), str::to_owned);
        return Digest::parse(&text).ok();
    };
    let digest = Digest::parse(reader.string(field)?);
    match &digest {
        Err(fault) => reader.invalid(field, &fault.to_string()),
        Ok(digest) if own.is_some_and(|own| own != digest.as_str()) => {
            reader.invalid(field, "is not that of the image: a reference with a digest means that digest");
        }
        Ok(_) => {}
    }
    digest.ok()
}

fn made_up(reference: Option<&ImageReference>) -> String {
    use aws_lc_rs::digest::{SHA256, digest};
    let text = reference.map_or("", ImageReference::as_str);
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The three lists of authorities; nobody is in two of them.
fn read_signed(reader: &mut Reader<'_>, lists: &[Option<Field<'_>>; 3]) -> Signed {
    let mut all: Vec<String> = Vec::new();
    let [verified, invalid, unavailable] = lists.each_ref().map(|list| {
        let mut named = Vec::new();
        for item in list.as_ref().map(|f| reader.bounded_list(f, MAX_AUTHORITIES)).unwrap_or_default() {
            let Some(name) = reader.bounded_string(&item, MAX_TEXT_BYTES) else { continue };
            if all.iter().any(|known| known == name) {
                reader.duplicate(&item);
            }
            all.push(name.to_owned());
            named.push(item.reference(name));
        }
        named
    });
    Signed { verified, invalid, unavailable }
}

fn read_attestations(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<StatedAttestation> {
    let mut attestations = Vec::new();
    for item in reader.bounded_list(field, MAX_ATTESTATIONS) {
        let Some(mut members) = reader.members(&item) else { continue };
        let predicate_type =
            members.require(reader, "predicateType", "").and_then(|f| image_trust::read_type(reader, &f));
        let signed = ["signedBy", "invalid", "unavailable"].map(|name| members.get(name));
        let signatures = read_signed(reader, &signed);
        if signed.iter().all(Option::is_none) {
            reader.missing(&item, "signedBy", "who signed it: what nobody signed is not looked at");
        }
        let predicate = members.get("predicate");
        match (&predicate, signatures.verified.is_empty()) {
            (None, false) => reader.missing(&item, "predicate", "what it says"),
            (Some(f), true) if signed.iter().any(Option::is_some) => {
                reader.forbidden(f, "nobody signed it who could be verified: what it says is not read")
            }
            _ => {}
        }
        members.finish(reader);
        let predicate = predicate.map(|f| f.node.to_json()).unwrap_or_default();
        attestations.extend(predicate_type.map(|predicate_type| StatedAttestation {
            predicate_type,
            signatures,
            predicate,
        }));
    }
    attestations
}

fn read_platforms(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<StatedPlatform> {
    let mut platforms = Vec::new();
    for item in reader.bounded_list(field, MAX_ATTESTATIONS) {
        let Some(mut members) = reader.members(&item) else { continue };
        let mut text_of = |reader: &mut Reader<'_>, name| members.get(name).and_then(|f| text(reader, &f));
        let [os, architecture, variant, created] =
            ["os", "architecture", "variant", "created"].map(|name| text_of(reader, name));
        let mut platform = StatedPlatform {
            os: os.unwrap_or_else(|| "linux".to_owned()),
            architecture: architecture.unwrap_or_else(|| "amd64".to_owned()),
            variant: variant.unwrap_or_default(),
            created: created.unwrap_or_default(),
            ..StatedPlatform::default()
        };
        if let Some(mut config) = members.get("config").and_then(|f| reader.members(&f)) {
            platform.user = config.get("user").and_then(|f| text(reader, &f)).unwrap_or_default();
            platform.labels = config.get("labels").map(|f| read_labels(reader, &f)).unwrap_or_default();
            let [entrypoint, command] = ["entrypoint", "cmd"].map(|name| {
                let list = config.get(name);
                let texts = reader.optional_strings(list.as_ref());
                texts.into_iter().map(|(_, text)| text.to_owned()).collect()
            });
            (platform.entrypoint, platform.command) = (entrypoint, command);
            config.finish(reader);
        }
        members.finish(reader);
        platforms.push(platform);
    }
    platforms
}

fn read_labels(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, String)> {
    let Some(members) = reader.members(field) else { return Vec::new() };
    let Content::Mapping(entries) = &members.field().node.content else { return Vec::new() };
    let mut labels = Vec::new();
    for entry in entries {
        let value = Field { node: &entry.value, path: field.child_path(&entry.key) };
        labels.extend(reader.string(&value).map(|text| (entry.key.clone(), text.to_owned())));
    }
    labels.sort();
    labels
}
