//! Greets whom it is told to, and says how long the greeting is.

fn main() {
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "hello".to_owned());
    let name = std::env::args().nth(1).unwrap_or_else(|| "nobody".to_owned());
    let text = format!("{greeting}, {name}");
    let mut buffer = itoa::Buffer::new();
    println!("{text} ({} bytes)", buffer.format(text.len()));
}
