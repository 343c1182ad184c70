//! A comparison as Parquet: a row for each run, for those who have thousands of them to put together.
//!
//! The columns are the run's name, the trace, the release, the regime of the thresholds, the settings as they are set
//! on the command line, what whoever set them should know, and every number that runs are compared by, under its name
//! with underscores: `resident_peak`.

use malloscope_replayer::report::comparison::MEASURES;
use malloscope_replayer::report::{Comparison, Run};
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use std::io::Write;
use std::sync::Arc;

/// What a column of text says of a run.
type Text = fn(&Comparison, &Run) -> String;

/// The columns of text.
const TEXTS: [(&str, Text); 6] = [
    ("run", |_, run| run.name.clone()),
    ("trace", |comparison, _| comparison.trace.file.clone()),
    ("release", |_, run| run.outcome.settings.release.clone()),
    ("thresholds", |_, run| {
        if run.outcome.settings.dynamic_thresholds { "dynamic" } else { "static" }.to_owned()
    }),
    ("options", |_, run| run.outcome.trial.options().join(" ")),
    ("warnings", |_, run| run.outcome.settings.warnings.join("; ")),
];

/// The name of a column: `resident, mean over time` is `resident_mean_over_time`.
fn column(name: &str) -> String {
    name.replace(", ", "_").replace(' ', "_")
}

/// The file.
pub fn file(comparison: &Comparison) -> Result<Vec<u8>> {
    let field = |name: &str, physical: Physical| {
        let of = Type::primitive_type_builder(name, physical).with_repetition(Repetition::REQUIRED);
        let is_text = physical == Physical::BYTE_ARRAY;
        of.with_logical_type(is_text.then_some(LogicalType::String)).build().map(Arc::new)
    };
    let texts = TEXTS.iter().map(|(name, _)| field(name, Physical::BYTE_ARRAY));
    let numbers = MEASURES.iter().map(|measure| field(&column(measure.name), Physical::INT64));
    let fields = texts.chain(numbers).collect::<Result<Vec<_>>>()?;
    let schema = Arc::new(Type::group_type_builder("runs").with_fields(fields).build()?);
    let properties = WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build();
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties))?;
    let mut rows = file.next_row_group()?;
    for (_, text) in TEXTS {
        let of = |run| ByteArray::from(text(comparison, run).into_bytes());
        write_texts(&comparison.runs.iter().map(of).collect::<Vec<_>>(), &mut rows)?;
    }
    for measure in &MEASURES {
        // Parquet's integers have a sign; no machine has so much that it matters.
        let of = |run: &Run| measure.of(&run.outcome).min(i64::MAX as u64).cast_signed();
        write_numbers(&comparison.runs.iter().map(of).collect::<Vec<_>>(), &mut rows)?;
    }
    rows.close()?;
    file.close()?;
    Ok(bytes)
}

fn write_texts<W: Write + Send>(
    values: &[ByteArray],
    rows: &mut SerializedRowGroupWriter<'_, W>,
) -> Result<()> {
    let Some(mut column) = rows.next_column()? else { return Ok(()) };
    column.typed::<ByteArrayType>().write_batch(values, None, None)?;
    column.close()
}

fn write_numbers<W: Write + Send>(values: &[i64], rows: &mut SerializedRowGroupWriter<'_, W>) -> Result<()> {
    let Some(mut column) = rows.next_column()? else { return Ok(()) };
    column.typed::<Int64Type>().write_batch(values, None, None)?;
    column.close()
}
