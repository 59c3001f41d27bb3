app.post("/webhook", (req, res) => {
const secret = "abc"; // Created separately
const signature = crypto
.createHmac("sha256", secret)
.update(req.body)
.digest("hex");
console.log("Signature:", req.headers["x-signature"]);
console.log("Expected:", signature);
console.log("Received:", req.body);
res.sendStatus(200);
});
